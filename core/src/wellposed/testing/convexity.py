"""What the stated constants of a regularizer promise to proofs: convexity, its modulus, smoothness."""

from __future__ import annotations

import torch
from torch import Tensor

from ..regularizer import Regularizer
from ..space import inner, norm, per_sample
from .adjointness import like
from .measure import at_most, that
from .promise import NotPromised, check
from .regularizers import images_for, may, needs
from .subject import Subject


@check(applies=may("value"))
def claimed_convexity_holds(subject: Subject) -> None:
    """`R((x + z)/2) ≤ (R(x) + R(z))/2 − m/8 ‖x − z‖²` with `m` the claimed modulus of strong convexity."""
    regularizer = subject.build()
    needs(regularizer, "value")
    m = regularizer.strong_convexity
    that(m >= 0, f"strong_convexity of {subject.label} is {m}; it must be ≥ 0")
    that(m == 0 or regularizer.convex, f"{subject.label} claims to be strongly convex but not convex")
    if not regularizer.convex:
        raise NotPromised("it does not claim to be convex")
    for x, z in _pairs(regularizer):
        ends = 0.5 * (regularizer(x) + regularizer(z)) - m / 8 * norm(x - z).square()
        excess = (regularizer((x + z) / 2) - ends) / (ends.abs() + m * norm(x - z).square() + 1e-12)
        excess = excess.nan_to_num(nan=0.0, posinf=1.0) if bool(torch.isfinite(ends).all()) else excess.clamp_max(0)
        at_most(
            float(excess.max()),
            1e-9,
            f"{subject.label} claims to be convex with modulus {m:g}; the relative excess at the middle of two images",
        )


@check(applies=may("grad"))
def claimed_smoothness_holds(subject: Subject) -> None:
    """`‖∇R(x) − ∇R(z)‖ ≤ L ‖x − z‖` with `L = smoothness_on(x)`, also along the steepest curvature found."""
    regularizer = subject.build()
    needs(regularizer, "grad")
    x = images_for(regularizer)
    bound = regularizer.smoothness_on(x)
    if bound is None:
        raise NotPromised("it states no Lipschitz constant of its gradient")
    for first, second in [*_pairs(regularizer), *_curved_pairs(regularizer, x), *_curved_pairs(regularizer, 0 * x)]:
        change = norm(regularizer.grad(first) - regularizer.grad(second)) / norm(first - second)
        at_most(float(change.max()), bound * (1 + 1e-5) + 1e-12, f"the Lipschitz constant of {subject.label}.grad")


@check(applies=may("grad"))
def gradient_is_monotone(subject: Subject) -> None:
    """Where convexity is claimed, `<∇R(x) − ∇R(z), x − z> ≥ m ‖x − z‖²`."""
    regularizer = subject.build()
    needs(regularizer, "grad")
    if not regularizer.convex:
        raise NotPromised("it does not claim to be convex")
    m = regularizer.strong_convexity
    for x, z in _pairs(regularizer):
        lack = m * norm(x - z).square() - inner(regularizer.grad(x) - regularizer.grad(z), x - z)
        scale = norm(regularizer.grad(x) - regularizer.grad(z)) * norm(x - z) + m * norm(x - z).square() + 1e-12
        worst = float((lack / scale).max())
        at_most(worst, 1e-9, f"the gradient of {subject.label} must be monotone with modulus {m:g}; its relative lack")


def _pairs(regularizer: Regularizer) -> list[tuple[Tensor, Tensor]]:
    """Pairs of images: unrelated, near, opposite, and scaled."""
    x, z = images_for(regularizer), images_for(regularizer, seed=1)
    return [(x, z), (x, x + 1e-3 * like(x, 2)), (x, -x), (x, 0.1 * z), (0.01 * x, 0.01 * z)]


def _curved_pairs(regularizer: Regularizer, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs along the direction of largest curvature at `x`, by power iteration on gradient differences."""
    size = 1e-4
    direction = like(x, 3)
    for _ in range(15):
        direction = direction / per_sample(norm(direction).clamp_min(1e-300), direction)
        change = regularizer.grad(x + size * direction) - regularizer.grad(x)
        if not bool((norm(change) > 0).all()):
            break
        direction = change
    direction = direction / per_sample(norm(direction).clamp_min(1e-300), direction)
    return [(x, x + size * direction)]


CHECKS = (claimed_convexity_holds, claimed_smoothness_holds, gradient_is_monotone)
