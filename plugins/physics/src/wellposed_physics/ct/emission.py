"""Emission tomography: projections that are attenuated and seen on a background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue
from wellposed.operator import LinearOperator, Operator
from wellposed.pattern import Pattern


class Emission(Operator):
    """Expected counts of emission tomography (PET): `F(x) = a · (A x) + b`, affine.

    `x` is the activity, `A x` its line integrals, `a` the fraction of the line's photons that survive
    attenuation (and normalisation, scan time), `b` the expected randoms and scatter. Both are numbers or
    tensors that broadcast to `operator.range.shape`, for instance `(views, bins)`.

    The background makes the map affine and not linear, so that it is an `Operator` with
    `F'(x)* v = A*(a · v)`. Methods that need a linear operator can take `a · A` with a fidelity that
    knows the background; without a background, `b = 0`, `F` and its derivative agree.

    Args:
        operator: `A`.
        attenuation: `a ≥ 0`.
        background: `b ≥ 0`.

    Raises `InputError` where `attenuation` or `background` is negative or does not fit the operator.
    """

    source = "Shepp and Vardi, Maximum likelihood reconstruction for emission tomography, IEEE TMI 1, 1982"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        rows = {"use": "matrix", "domain_shape": [2], "range_shape": [1], "matrix": [[1.0, 2.0]]}
        return (KnownValue(([[1.0, 2.0]],), [[3.0]], {"operator": rows, "attenuation": 0.5, "background": 0.5}),)

    def __init__(
        self,
        operator: LinearOperator,
        attenuation: float | Tensor | Pattern = 1.0,
        background: float | Tensor | Pattern = 0.0,
    ) -> None:
        super().__init__(operator.domain, operator.range)
        self.operator = operator
        self.register_buffer("attenuation", _field(attenuation, operator, "attenuation"), persistent=False)
        self.register_buffer("background", _field(background, operator, "background"), persistent=False)
        self._norm_value: float | None = None

    attenuation: Tensor
    background: Tensor

    @classmethod
    def from_attenuation_map(
        cls, operator: LinearOperator, density: Tensor, background: float | Tensor | Pattern = 0.0
    ) -> Emission:
        """The scan of a body with the attenuation image `density` `(C, rows, columns)`: `a = exp(−A density)`."""
        with torch.no_grad():
            return cls(operator, torch.exp(-operator(density[None]))[0], background)

    @classmethod
    def examples(cls) -> tuple[Mapping[str, Any], ...]:
        beam = {"use": "parallel-beam", "shape": [16, 16], "angles": 12}
        return ({"operator": beam, "attenuation": 0.4, "background": 0.5}, {"operator": beam})

    def _forward(self, x: Tensor) -> Tensor:
        return self.attenuation * self.operator(x) + self.background

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        self.check_domain(x)
        self.check_range(v)
        return self.operator.adjoint(self.attenuation * v)

    def norm(self) -> float:
        """`max(a)·‖A‖`, a bound on the norm of the derivative, which is the same everywhere."""
        if self._norm_value is None:
            self._norm_value = float(self.attenuation.max()) * self.operator.norm()
        return self._norm_value

    def pinv(self, y: Tensor) -> Tensor:
        """The direct inversion of the operator after correction, `A⁺((y − b)/a)`; lines with `a = 0` count as 0."""
        self.check_range(y)
        corrected = (y - self.background) / self.attenuation
        return self.operator.pinv(torch.where(self.attenuation > 0, corrected, 0.0))

    def take(self, index: Tensor) -> Emission:
        return Emission(self.operator.take(index), self.attenuation, self.background)


def _field(value: float | Tensor | Pattern, operator: LinearOperator, name: str) -> Tensor:
    """A nonnegative tensor that broadcasts to the operator's range, on the operator's device and precision."""
    shape = operator.range.shape
    if isinstance(value, Pattern):
        value = value(shape[1:])
    like = next((b for b in operator.buffers() if b.is_floating_point()), None)
    field = torch.as_tensor(value, dtype=operator.range.dtype if like is None else like.dtype)
    field = field if like is None else field.to(like.device)
    try:
        fits = torch.broadcast_shapes(field.shape, shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise InputError(f"{name} of shape {tuple(field.shape)} does not fit measurements of shape {shape}")
    if not bool(((field >= 0) & torch.isfinite(field)).all()):
        raise InputError(f"{name} must be finite and not negative")
    return field
