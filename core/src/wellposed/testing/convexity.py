"""What the stated constants of a regularizer promise to proofs: convexity, its modulus, smoothness."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..regularizer import Regularizer
from ..space import inner, norm, per_sample
from .adjointness import like
from .measure import at_most, that
from .promise import NotPromised, check
from .regularizers import gap_of, images_for, may, needs
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
        at_most(
            float(torch.where(torch.isfinite(ends), excess, 0.0).max()),
            1e-9 + 2 * gap_of(regularizer),
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
    for x, z in [*_pairs(regularizer), *_curved_pairs(regularizer, images_for(regularizer))]:
        lack = m * norm(x - z).square() - inner(regularizer.grad(x) - regularizer.grad(z), x - z)
        scale = norm(regularizer.grad(x) - regularizer.grad(z)) * norm(x - z) + m * norm(x - z).square() + 1e-12
        worst = float((lack / scale).max())
        at_most(worst, 1e-9, f"the gradient of {subject.label} must be monotone with modulus {m:g}; its relative lack")


def _pairs(regularizer: Regularizer) -> list[tuple[Tensor, Tensor]]:
    """Pairs of images: unrelated, near, opposite, and scaled."""
    x, z = images_for(regularizer), images_for(regularizer, seed=1)
    return [(x, z), (x, x + 1e-3 * like(x, 2)), (x, -x), (x, 0.1 * z), (0.01 * x, 0.01 * z), (x, 5 * x)]


def _curved_pairs(regularizer: Regularizer, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs along the directions of largest and of smallest curvature at `x`, by power iterations."""
    size = 1e-4

    def curvature(direction: Tensor) -> Tensor:
        return (regularizer.grad(x + size * direction) - regularizer.grad(x)) / size

    steepest = power(curvature, like(x, 3))
    largest = per_sample(norm(curvature(steepest)), x)
    flattest = power(lambda d: curvature(d) - largest * d, like(x, 4))
    return [(x, x + size * steepest), (x, x + size * flattest)]


def power(apply: Callable[[Tensor], Tensor], direction: Tensor) -> Tensor:
    for _ in range(15):
        direction = direction / per_sample(norm(direction), direction)
        image = apply(direction)
        if not bool((norm(image) > 0).all()):
            break
        direction = image
    return direction / per_sample(norm(direction), direction)


CHECKS = (claimed_convexity_holds, claimed_smoothness_holds, gradient_is_monotone)
