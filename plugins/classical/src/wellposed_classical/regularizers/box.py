"""Constraints on the values of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import InputError, Regularizer

from ..magnitude import per_image


class Box(Regularizer):
    """`R(x) = 0` where `lower ≤ x_i ≤ upper` for all `i`, else `inf`; a bound that is `None` is absent.

    `prox` clamps, whatever the step; the conjugate is the support function `Σ max(lower·p, upper·p)`.
    Bounds have the units of the image. Raises `InputError` for complex images, which have no order.
    Source: Parikh and Boyd 2014, section 6.2.
    """

    source = "Parikh and Boyd 2014, section 6.2"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True
    invariances = frozenset({"translation", "c4", "d4"})

    def __init__(self, lower: float | None = None, upper: float | None = None) -> None:
        super().__init__()
        if lower is None and upper is None:
            raise InputError("a box needs a lower or an upper bound, or both")
        self.lower = -float("inf") if lower is None else float(lower)
        self.upper = float("inf") if upper is None else float(upper)
        if not self.lower <= self.upper:
            raise InputError(f"a box needs lower ≤ upper; got {lower} and {upper}")

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"lower": -0.5, "upper": 1.0}, {"upper": 0.25})

    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        outside = ~((x >= self.lower) & (x <= self.upper)).flatten(1).all(1)
        return torch.zeros(len(x), dtype=x.dtype, device=x.device).masked_fill(outside, torch.inf)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        self._check(x)
        return x.clamp(self.lower, self.upper)

    def conjugate(self, p: Tensor) -> Tensor:
        self._check(p)
        # 0·inf would be not-a-number where a bound is absent and p is 0.
        above = torch.where(p > 0, p * self.upper, 0.0)
        below = torch.where(p < 0, p * self.lower, 0.0)
        return per_image(above + below)

    def _check(self, x: Tensor) -> None:
        if x.is_complex():
            raise InputError(
                f"{type(self).__name__} bounds real images and got {x.dtype}; complex values have no order, "
                f"so constrain the magnitude or the real part of the image instead"
            )

    def extra_repr(self) -> str:
        return f"lower={self.lower:g}, upper={self.upper:g}"


class Nonnegativity(Box):
    """`R(x) = 0` where `x_i ≥ 0` for all `i`, else `inf`; `prox` replaces negative values by 0."""

    def __init__(self) -> None:
        super().__init__(lower=0.0)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({},)

    def extra_repr(self) -> str:
        return ""
