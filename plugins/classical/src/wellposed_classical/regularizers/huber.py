"""The Huber function of the image: ℓ1 made smooth around zero."""

from __future__ import annotations

from torch import Tensor

from wellposed import InputError, Regularizer
from wellposed.interface import KnownValue
from wellposed.space import per_sample

from ..magnitude import inside_unit_ball, magnitude, per_image, squared_magnitude


class Huber(Regularizer):
    """`R(x) = Σ_i h(|x_i|)`, `h(t) = t²/2δ` for `t ≤ δ`, else `t − δ/2`: the Moreau envelope of ℓ1.

    `delta` δ > 0 has the units of the image. The gradient `x/max(δ, |x|)` is Lipschitz with 1/δ, and as
    δ → 0 the functional becomes ℓ1. Complex values count by their modulus. Source: Huber 1964.
    """

    source = "Huber 1964, Robust estimation of a location parameter; Moreau 1965"
    capabilities = frozenset({"value", "grad", "prox", "split"})
    convex = True
    invariances = frozenset({"translation", "c4", "d4"})

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[[[0.1, -2.0]]]],), [0.01 + 1.75], {"delta": 0.5}),)

    def __init__(self, delta: float) -> None:
        super().__init__()
        if not delta > 0:
            raise InputError(f"delta, where Huber's function turns from quadratic to linear, must be > 0; got {delta}")
        self.delta = float(delta)
        self.smoothness = 1 / self.delta

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"delta": 0.1}, {"delta": 2.0})

    def forward(self, x: Tensor) -> Tensor:
        length = magnitude(x)
        # t·h'(t) − h'(t)²·δ/2 with h'(t) = min(t/δ, 1): one formula for both branches.
        slope = (length / self.delta).clamp_max(1)
        return per_image(slope * (length - slope * (self.delta / 2)))

    def grad(self, x: Tensor) -> Tensor:
        return x / magnitude(x).clamp_min(self.delta)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        """`x·(1 − s/max(|x|, s + δ))`: a shrinkage by `s` far away, by the factor `δ/(s + δ)` near 0."""
        s = per_sample(step, x)
        return x * (1 - s / magnitude(x).clamp(min=s + self.delta))

    def conjugate(self, p: Tensor) -> Tensor:
        return 0.5 * self.delta * per_image(squared_magnitude(p)) + inside_unit_ball(magnitude(p))

    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor:
        shrunk = p / (1 + per_sample(step, p) * self.delta)
        return shrunk / magnitude(shrunk).clamp_min(1)

    def extra_repr(self) -> str:
        return f"delta={self.delta:g}"
