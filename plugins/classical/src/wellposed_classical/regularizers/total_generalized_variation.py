"""Total generalised variation of second order: piecewise affine images instead of piecewise constant ones."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from wellposed import InputError, Regularizer

from ..differences import Differences
from ..inner_solvers.batch import warn_of_limit
from ..inner_solvers.derivative import differentiable_prox
from ..inner_solvers.second_order import denoise_second_order, second_order_derivative, second_order_variation
from ..magnitude import per_image
from .planes import from_planes, plane_weights, to_planes


class TotalGeneralizedVariation(Regularizer):
    """`R(x) = min_w Σ|∇x − w| + ratio·Σ|E w|`, `E` the symmetrised derivative; channels separate.

    Images `(B, C, *spatial)`, real or complex. `ratio` is α₀/α₁ of the literature; `R` vanishes exactly on
    affine images, and as `ratio → ∞` it becomes total variation up to an affine part.

    The auxiliary field `w` belongs to the definition, so `R` is no sum of functions `g_i(K_i x)` with
    proximal maps of their own: primal–dual methods get `R` itself as one term with its proximal map.
    Value and proximal map run an inner primal–dual iteration from zero until a certified relative duality
    gap of `tolerance` (the error of the value itself is usually ten times smaller); a `RuntimeWarning`
    tells where `limit` iterations do not get there. Both are differentiable once.
    Source: Bredies, Kunisch and Pock 2010, definition 3.1; Bredies 2014, Recovering piecewise smooth
    multichannel images, section 4.
    """

    source = "Bredies, Kunisch and Pock 2010, Total Generalized Variation"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True
    invariances = frozenset({"translation"})

    def __init__(self, ratio: float = 2.0, tolerance: float = 1e-3, limit: int = 2000) -> None:
        super().__init__()
        if not ratio > 0:
            raise InputError(f"ratio, the weight of the second derivative against the first, must be > 0; got {ratio}")
        if not tolerance > 0:
            raise InputError(
                f"tolerance, the relative duality gap of the inner iterations, must be > 0; got {tolerance}"
            )
        if limit < 1:
            raise InputError(f"limit, the most inner iterations, must be ≥ 1; got {limit}")
        self.ratio, self.tolerance, self.limit = float(ratio), float(tolerance), int(limit)
        self.differences = Differences()

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"ratio": 2.0, "tolerance": 1e-3},)

    def forward(self, x: Tensor) -> Tensor:
        who = "the value of total generalised variation"
        planes = to_planes(x, False, who)
        gradient = self.differences(planes)
        with torch.no_grad():
            value, field, gap = second_order_variation(gradient, self.ratio, self.tolerance, self.limit)
        warn_of_limit(who, gap, self.tolerance, self.limit)
        if gradient.requires_grad:
            # The dual field is the derivative of the value: a term of value 0 carries it.
            value = value + per_image((gradient - gradient.detach()) * field)
        return value.reshape(len(x), -1).sum(1)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        who = "the proximal map of total generalised variation"
        planes, weights = to_planes(x, False, who), plane_weights(step, x, False)
        solve = partial(denoise_second_order, ratio=self.ratio, tolerance=self.tolerance, limit=self.limit)
        image, gap = differentiable_prox(planes, weights, solve, second_order_derivative(self.ratio))
        warn_of_limit(who, gap, self.tolerance, self.limit)
        return from_planes(image, x)

    def extra_repr(self) -> str:
        return f"ratio={self.ratio:g}, tolerance={self.tolerance:g}, limit={self.limit}"
