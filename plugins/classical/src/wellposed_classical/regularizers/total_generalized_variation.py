"""Total generalised variation of second order: piecewise affine images instead of piecewise constant ones."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from wellposed import InputError, Regularizer

from ..differences import Differences
from ..inner_solvers.batch import distance_to_prox, effective_weight, warn_of_limit
from ..inner_solvers.derivative import differentiable_prox
from ..inner_solvers.second_order import (
    affine_residual,
    denoise_second_order,
    second_order_derivative,
    second_order_variation,
)
from ..magnitude import magnitude, per_image
from .planes import from_planes, plane_weights, to_planes

_WHO = "the proximal map of total generalised variation"


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
    prox_accuracy = "certified"
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
        planes, weights = to_planes(x, False, _WHO), plane_weights(step, x, False)
        return from_planes(self._denoised(planes, weights)[0], x)

    def prox_with_error(self, x: Tensor, step: float | Tensor) -> tuple[Tensor, Tensor]:
        """The proximal map and what its duality gap leaves open: `½‖u − prox(x)‖² ≤ primal − dual`."""
        planes, weights = to_planes(x, False, _WHO), plane_weights(step, x, False)
        image, gap = self._denoised(planes, weights)
        with torch.no_grad():
            weights = effective_weight(weights, planes)
            # The minimum is at most the first-order variation, so the objective at the gap γ at most that/(1 − γ).
            variation = weights * per_image(magnitude(self.differences(affine_residual(planes)), (1, 2)))
            excess = torch.where(gap < 1, gap / (1 - gap), torch.inf) * variation
            error = distance_to_prox(excess, 2 * variation, planes, weights)
        return from_planes(image, x), error.reshape(len(x), -1).square().sum(1).sqrt()

    def _denoised(self, planes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The planes and their relative duality gaps."""
        solve = partial(denoise_second_order, ratio=self.ratio, tolerance=self.tolerance, limit=self.limit)
        image, gap = differentiable_prox(planes, weights, solve, second_order_derivative(self.ratio))
        warn_of_limit(_WHO, gap, self.tolerance, self.limit)
        return image, gap

    def extra_repr(self) -> str:
        return f"ratio={self.ratio:g}, tolerance={self.tolerance:g}, limit={self.limit}"
