"""The duality gap of a saddle point problem, from above: at a feasible dual point, with what rounding may hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import Regularizer
from wellposed.space import inner, norm, per_sample

from .constants import random_image
from .saddle import Saddle
from .splitting import Block

#: What the sums of one gap may lose, in units of the machine precision times the sizes of their terms; above the 64
#: roundings by which conjugates take a point for feasible.
_ROUNDINGS = 96.0
_BISECTIONS = 30


@dataclass(frozen=True)
class Gap:
    """Primal minus dual objective `(B,)`, infinite without a feasible dual point.

    `rounding` `(B,)` is what the sums may have lost, `extent` `(B,)` the size of the images that were added up.
    """

    value: Tensor
    rounding: Tensor
    extent: Tensor

    def from_above(self) -> Tensor:
        """A bound of `objective − minimum`, `(B,)`."""
        return self.value.clamp_min(0.0) + self.rounding

    def distance(self, convexity: Tensor, image: Tensor) -> Tensor:
        """`‖x − x*‖ ≤ √(2·gap/μ)`, and what rounding of the operator moves the solution by; infinite where `μ = 0`."""
        eps = _ROUNDINGS * torch.finfo(image.dtype).eps
        bound = torch.sqrt(2 * self.from_above() / convexity) + eps * (norm(image) + self.extent)
        # A square root halves relative errors, the norms that it is compared with have their own.
        return torch.where(convexity > 0, bound * (1 + eps * image[0].numel() ** 0.5), torch.inf)


def duality_gap(
    saddle: Saddle, image: Tensor, dual: Sequence[Tensor], steps: Sequence[Tensor], radius: float | None = None
) -> Gap | None:
    """The gap at `image` and a feasible point near `dual`; `None` where a conjugate is not known.

    Dual variables outside the domain of their conjugate (relaxation, rounding) are moved into it by the proximal map
    with `steps`; where `h*` is infinite at `−ΣK_i*p_i`, all are shrunk until it is not. What then is infeasible still
    has an infinite gap, unless `‖x*‖ ≤ radius` is known: the supremum in `F*` is then taken over that ball.
    """
    if not _has_formulas(saddle):
        return None
    feasible = [_feasible(block, p, step) for block, p, step in zip(saddle.blocks, dual, steps, strict=True)]
    if any(p is None for p in feasible):
        return None
    points = [p for p in feasible if p is not None]
    slope = -saddle.pull(points, image)
    if saddle.curvature is not None:
        conjugate = _strongly_convex_conjugate(saddle, slope)
    elif radius is None:
        shrink = _largest_share(saddle.direct, slope)
        points = [p * per_sample(shrink, p) for p in points]
        slope = slope * per_sample(shrink, slope)
        conjugate = _conjugate(saddle.direct, slope)
    else:
        conjugate = _conjugate_on_ball(saddle.direct, slope, radius)
    terms = [*_primal_terms(saddle, image), *conjugate.terms, *_dual_terms(saddle, points)]
    total = torch.stack(terms)
    # Sums of n terms of one sign lose some √n roundings, and more where all terms are equal.
    lost = _ROUNDINGS + 4 * image[0].numel() ** 0.5
    rounding = lost * torch.finfo(image.dtype).eps * total.abs().sum(0).nan_to_num(nan=0.0, posinf=0.0)
    return Gap(total.sum(0).nan_to_num(nan=torch.inf, posinf=torch.inf), rounding, conjugate.extent)


def has_gap(saddle: Saddle, x: Tensor, *, bounded: bool) -> bool:
    """Whether the gap can become finite and small: conjugates are known and that of `F` is finite around 0.

    `bounded` tells that a radius is known. A probe: what it lets through may still have an infinite gap.
    """
    if not _has_formulas(saddle):
        return False
    if any(block.conjugate(torch.zeros_like(block.apply(x))) is None for block in saddle.blocks):
        return False
    if saddle.curvature is not None or (bounded and saddle.direct is None):
        return True
    if saddle.direct is None:
        return False
    probe = torch.finfo(x.dtype).eps * random_image(x)
    value = saddle.direct.conjugate(torch.zeros_like(x) if bounded else probe)
    return value is not None and bool(torch.isfinite(value).any())


@dataclass(frozen=True)
class _Conjugate:
    """Terms whose sum is `F*(slope)`, and the size of the images that they were computed from."""

    terms: list[Tensor]
    extent: Tensor


def _has_formulas(saddle: Saddle) -> bool:
    """Proximal maps that are iterated find no exact supremum, and their functionals' values are inexact too."""
    return saddle.direct is None or saddle.direct.prox_accuracy == "exact"


def _strongly_convex_conjugate(saddle: Saddle, slope: Tensor) -> _Conjugate:
    """`sup_x <slope, x> − q/2‖x − b‖² − h(x)`, at the point where it is attained."""
    assert saddle.curvature is not None
    centre = saddle.problem.data_gradient(torch.zeros_like(slope)) / per_sample(saddle.curvature, slope)
    peak = slope / per_sample(saddle.curvature, slope) - centre
    if saddle.direct is not None:
        peak = saddle.direct.prox(peak, 1 / saddle.curvature)
    terms = [inner(slope, peak), -saddle.problem.data_value(peak)]
    terms += [] if saddle.direct is None else [-saddle.direct(peak)]
    return _Conjugate(terms, norm(peak) + norm(centre))


def _conjugate(direct: Regularizer | None, slope: Tensor) -> _Conjugate:
    zero = torch.zeros_like(norm(slope))
    if direct is None:
        return _Conjugate([torch.where(norm(slope) == 0, zero, torch.inf)], zero)
    value = direct.conjugate(slope)
    return _Conjugate([torch.full_like(zero, torch.inf) if value is None else value], zero)


def _conjugate_on_ball(direct: Regularizer | None, slope: Tensor, radius: float) -> _Conjugate:
    """`sup_{‖x‖ ≤ r} <slope, x> − h(x)`, at most `h*(p) + r‖slope − p‖` for every `p`: the nearest in its domain."""
    zero = torch.zeros_like(norm(slope))
    if direct is None:
        return _Conjugate([radius * norm(slope)], zero + radius)
    value = direct.conjugate(slope)
    inside = direct.prox_conjugate(slope, 1.0)
    near = direct.conjugate(inside)
    if value is None or near is None:
        return _Conjugate([torch.full_like(zero, torch.inf)], zero)
    finite = torch.isfinite(value)
    rest = torch.where(finite, 0.0, radius * norm(slope - inside))
    return _Conjugate([torch.where(finite, value, near), rest], zero + radius)


def _largest_share(direct: Regularizer | None, slope: Tensor) -> Tensor:
    """The largest `t ≤ 1`, `(B,)`, up to bisection, at which `h*(t·slope)` is finite; its domain is convex."""
    one = torch.ones_like(norm(slope))
    if direct is None:
        return one
    value = direct.conjugate(slope)
    if value is None or bool(torch.isfinite(value).all()):
        return one
    low, high = torch.zeros_like(one), one
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        value = direct.conjugate(slope * per_sample(middle, slope))
        assert value is not None
        finite = torch.isfinite(value)
        low, high = torch.where(finite, middle, low), torch.where(finite, high, middle)
    whole = direct.conjugate(slope)
    assert whole is not None
    return torch.where(torch.isfinite(whole), one, low)


def _primal_terms(saddle: Saddle, image: Tensor) -> list[Tensor]:
    terms = [block.value(block.apply(image)) for block in saddle.blocks]
    if saddle.curvature is not None:
        terms.append(saddle.problem.data_value(image))
    if saddle.direct is not None:
        terms.append(saddle.direct(image))
    return terms


def _dual_terms(saddle: Saddle, points: Sequence[Tensor]) -> list[Tensor]:
    values = [block.conjugate(p) for block, p in zip(saddle.blocks, points, strict=True)]
    return [value for value in values if value is not None]


def _feasible(block: Block, p: Tensor, step: Tensor) -> Tensor | None:
    """A dual point in the domain of the block's conjugate, equal to `p` where that is."""
    value = block.conjugate(p)
    if value is None:
        return None
    if bool(torch.isfinite(value).all()):
        return p
    # The domain holds 0: shrinking by a few roundings takes a point of its boundary inside.
    inside = block.prox_conjugate(p, step) * (1 - 8 * torch.finfo(p.dtype).eps)
    return torch.where(per_sample(torch.isfinite(value), p), p, inside)  # type: ignore[arg-type]
