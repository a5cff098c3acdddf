"""Total variation made smooth and strongly convex: what certified solvers and bilevel learning work on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wellposed import InputError, Regularizer
from wellposed.space import norm

from ..differences import Differences
from ..magnitude import per_image, squared_magnitude


class SmoothedTotalVariation(Regularizer):
    """`R(x) = Σ_i (|(∇x)_i|² + ν²)^½ + ξ/2 ‖x‖²`, isotropic, channels separate.

    Images `(B, C, *spatial)`, real or complex. `nu` ν > 0 has the units of the image and `xi` ξ ≥ 0 those
    of 1/image; both may be tensors that are learned. The gradient is Lipschitz with `‖∇‖²/ν + ξ`
    (`‖∇‖² ≤ 8` in 2-D) and `R` strongly convex with ξ. Source: Ehrhardt and Roberts 2021 (2-D denoising).
    """

    source = "Ehrhardt and Roberts 2021, Inexact derivative-free optimization for bilevel learning"
    capabilities = frozenset({"value", "grad"})
    convex = True
    invariances = frozenset({"translation"})

    def __init__(self, nu: float | Tensor = 1e-3, xi: float | Tensor = 1e-3) -> None:
        super().__init__()
        if not bool(torch.as_tensor(nu) > 0):
            raise InputError(f"nu, the length below which gradients count quadratically, must be > 0; got {nu}")
        if not bool(torch.as_tensor(xi) >= 0):
            raise InputError(f"xi, the weight of the quadratic term, must be ≥ 0; got {xi}")
        self.differences = Differences()
        self.nu: float | Tensor
        self.xi: float | Tensor
        _keep(self, "nu", nu)
        _keep(self, "xi", xi)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"nu": 0.1, "xi": 0.01}, {"nu": 0.01, "xi": 0.0})

    @property
    def strong_convexity(self) -> float:  # type: ignore[override]
        return _number(self.xi)

    def smoothness_on(self, x: Tensor) -> float:
        return self.differences.norm(x) ** 2 / _number(self.nu) + _number(self.xi)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (squared_magnitude(self.differences(x), (1,)) + self.nu**2).sqrt()
        return per_image(lengths) + 0.5 * self.xi * norm(x).square()

    def grad(self, x: Tensor) -> Tensor:
        """`∇*(∇x/(|∇x|² + ν²)^½) + ξx`."""
        p = self.differences(x)
        p = p * (squared_magnitude(p, (1,)) + self.nu**2).rsqrt()
        return self.differences.adjoint(p) + self.xi * x

    def extra_repr(self) -> str:
        return f"nu={_number(self.nu):g}, xi={_number(self.xi):g}"


def _keep(module: nn.Module, name: str, value: float | Tensor) -> None:
    """Learned parameters stay parameters, other tensors move with the module, numbers stay numbers."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        module.register_buffer(name, value)
    else:
        setattr(module, name, value if isinstance(value, Tensor) else float(value))


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else value
