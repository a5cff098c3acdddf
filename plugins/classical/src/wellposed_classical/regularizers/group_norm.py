"""The sum of pointwise lengths, `‖p‖_{2,1}`: what total variation applies to the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wellposed import InputError, Regularizer
from wellposed.space import per_sample

from ..magnitude import inside_unit_ball, magnitude, per_image, squared_magnitude


class GroupNorm(Regularizer):
    """`g(p) = Σ_i (Σ_{axes} |p_i|²)^½` for batched fields; `axes` are those of a group, the batch is 0.

    Its conjugate is the indicator of the unit balls, `|p_i| ≤ 1` up to rounding; `prox_conjugate` is
    the projection onto them, whatever the step (Chambolle and Pock 2011, section 6.2).
    """

    source = "Chambolle and Pock 2011, section 6.2"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True

    def __init__(self, axes: Sequence[int] = (1,)) -> None:
        super().__init__()
        if any(axis < 1 for axis in axes) or len(set(axes)) != len(axes):
            raise InputError(f"the axes of a group must be different and ≥ 1 (0 is the batch); got {list(axes)}")
        self.axes = tuple(sorted(axes))

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"axes": [1]}, {"axes": [1, 2]}, {"axes": []})

    def forward(self, x: Tensor) -> Tensor:
        return per_image(magnitude(x, self.axes))

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        """`p·max(0, 1 − s/|p|)`."""
        s = per_sample(step, x)
        lengths = magnitude(x, self.axes)
        shrunk = (lengths - s).clamp_min(0)
        return x * (shrunk / torch.where(shrunk > 0, lengths, 1.0))

    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor:
        """`p/max(1, |p|)`."""
        return p * squared_magnitude(p, self.axes).clamp(min=1).rsqrt()

    def conjugate(self, p: Tensor) -> Tensor:
        return inside_unit_ball(magnitude(p, self.axes))

    def extra_repr(self) -> str:
        return f"axes={self.axes}"
