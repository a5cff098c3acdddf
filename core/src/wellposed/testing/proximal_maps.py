"""What a proximal map promises: it minimises its defining objective, and its conjugates agree with it.

Nothing but values can prove that a point is not the minimiser, so each check compares the objective at
the proximal point with its value at points that a wrong map would miss: mixtures with the argument,
multiples, descents along the gradient of the value, proximal points of other steps, random steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..space import inner, norm, per_sample
from .adjointness import like
from .measure import at_most, relative, that
from .promise import NotPromised, check
from .regularizers import INEXACT, STEP, gap_of, images_for, may, needs
from .subject import Subject

Functional = Callable[[Tensor], Tensor]


@check(applies=may("prox"))
def prox_minimises_its_objective(subject: Subject) -> None:
    """`s R(u) + ½‖u − x‖²` is nowhere smaller than at `u = prox(x, s)`, for small and large steps."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    needs(regularizer, "value")
    x, gap = images_for(regularizer), gap_of(regularizer)
    for step in (STEP,) if gap > INEXACT else (0.05, STEP, 2.0):
        assert_prox(regularizer, regularizer.prox, 2 * x, step, f"{subject.label}.prox with step {step:g}", gap)


@check(applies=may("prox"))
def prox_takes_step_per_sample(subject: Subject) -> None:
    """A step for each sample gives what each of them gives alone."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    x, steps = images_for(regularizer), torch.tensor([0.05, 0.3, 2.0], dtype=torch.float64)
    together = regularizer.prox(x, steps)
    for i, step in enumerate(steps.tolist()):
        at_most(
            relative(together[i : i + 1], regularizer.prox(x[i : i + 1], step)),
            INEXACT,
            f"{subject.label}.prox with a step per sample against step {step:g} alone",
        )


@check(applies=may("prox"))
def prox_satisfies_moreau(subject: Subject) -> None:
    """`x = prox_sR(x) + s prox_{R*/s}(x/s)`."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    x = images_for(regularizer)
    for step in (0.2, torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)):
        s = per_sample(step, x)
        total = regularizer.prox(x, step) + s * regularizer.prox_conjugate(x / s, 1 / step)
        at_most(relative(total, x), INEXACT, f"Moreau's identity of {subject.label}")


@check(applies=may("prox"))
def conjugate_satisfies_fenchel(subject: Subject) -> None:
    """`R(u) + R*(p) ≥ <u, p>`, with equality at `u = prox(x, s)`, `p = (x − u)/s`."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    needs(regularizer, "value")
    x = images_for(regularizer)
    u = regularizer.prox(x, STEP)
    p = (x - u) / STEP
    value = regularizer.conjugate(p)
    if value is None:
        raise NotPromised("it states no conjugate")
    assert_fenchel(regularizer(u), value, u, p, subject.label)
    for seed in (1, 2):
        v, q = images_for(regularizer, seed=seed), like(p, 20 + seed)
        gap = regularizer(v) + _number(regularizer.conjugate(q)) - inner(v, q)
        that(
            bool((gap >= -1e-9 * (1 + inner(v, q).abs())).all()),
            f"{subject.label} must satisfy R(v) + R*(q) ≥ <v, q>; the left side is smaller by {-float(gap.min()):.3g}",
        )


@check(applies=may("prox"))
def prox_is_firmly_nonexpansive(subject: Subject) -> None:
    """Where `R` is convex, `‖Px − Pz‖² ≤ <Px − Pz, x − z>`."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    if not regularizer.convex:
        raise NotPromised("it does not claim to be convex")
    x = images_for(regularizer)
    far, near = (images_for(regularizer, seed=1), 3 * x), (x + 0.01 * like(x, 2),)
    for z in far if gap_of(regularizer) > INEXACT else (*far, *near):
        moved, apart = regularizer.prox(x, STEP) - regularizer.prox(z, STEP), x - z
        excess = (inner(moved, moved) - inner(moved, apart)) / inner(apart, apart)
        limit = INEXACT + 10 * gap_of(regularizer) ** 0.5
        at_most(float(excess.max()), limit, f"{subject.label}.prox must be firmly nonexpansive; relative excess")


@check(applies=may("split"))
def split_terms_have_right_proxes(subject: Subject) -> None:
    """The proximal map of each term of `split()` minimises its own objective."""
    regularizer = subject.build()
    needs(regularizer, "split")
    x = images_for(regularizer)
    for term in regularizer.split():
        functional, p = term.functional, x if term.analysis is None else term.analysis(x)
        if functional is not regularizer and "value" in functional.capabilities:
            who = f"the term {type(functional).__name__} of {subject.label}"
            assert_prox(functional, functional.prox, 2 * p, STEP, who, gap_of(functional))


# Measuring ----------------------------------------------------------------------------------------


def assert_prox(
    value: Functional,
    prox: Callable[[Tensor, float], Tensor],
    x: Tensor,
    step: float,
    who: str,
    gap: float = 0.0,
) -> None:
    """Raise `AssertionError` where a point better than `prox(x, step)` is found, relative to the objective.

    `value` takes batches of several times the images of `x`, in turn. `gap`: what the map and the value
    may each leave to be desired.
    """
    u = prox(x, step)
    others = [prox(x, step * factor) for factor in (0.5, 0.9, 1.1, 2.0)]
    best = _objective(value, u, x, step)
    that(bool(torch.isfinite(best).all()), f"{who} must lie where the functional is finite; it is {best.tolist()}")
    scale = _objective(value, x, x, step).nan_to_num(posinf=0.0) + best.abs() + 1e-12
    names, rivals = zip(*_rivals(value, u, x, step, others), strict=True)
    # All at once: a value that is itself an iteration costs as much for one image as for many.
    found = _objective(value, torch.cat(rivals), torch.cat([x] * len(rivals)), step)
    for what, objective in zip(names, found.reshape(len(rivals), len(x)), strict=True):
        at_most(
            float(((best - objective) / scale).max()),
            1e-9 + INEXACT + 2 * gap,
            f"{who} must minimise s·R(u) + ½‖u − x‖²; {what} is better, relative to the objective",
        )


def _rivals(value: Functional, u: Tensor, x: Tensor, step: float, others: list[Tensor]) -> Iterator[tuple[str, Tensor]]:
    for t in (-0.3, -0.1, -0.01, 0.01, 0.1, 0.3, 1.0):
        yield f"u + {t:g}(x − u)", u + t * (x - u)
    for t in (0.0, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        yield f"{t:g}·u", t * u
    for other in others:
        yield "the proximal point of another step", other
    mean = x.mean(dim=tuple(range(1, x.ndim)), keepdim=True).expand_as(x)
    yield "the mean of x", mean
    for seed, size in enumerate((1e-4, 1e-3, 1e-2, 1e-1)):
        yield "a random neighbour", u + size * norm(u).mean() / u[0].numel() ** 0.5 * like(u, seed)
    descent = _descent(value, u, x, step)
    if descent is not None:
        for t in (1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0):
            yield "a step of steepest descent", u - t * descent


def _descent(value: Functional, u: Tensor, x: Tensor, step: float) -> Tensor | None:
    point = u.detach().requires_grad_()
    with torch.enable_grad():
        total = _objective(value, point, x, step).sum()
    if not total.requires_grad or not bool(torch.isfinite(total)):
        return None
    (gradient,) = torch.autograd.grad(total, point)
    return torch.nan_to_num(gradient)


def _objective(value: Functional, u: Tensor, x: Tensor, step: float) -> Tensor:
    return step * value(u) + 0.5 * norm(u - x).square()


def assert_fenchel(value: Tensor, conjugate: Tensor, u: Tensor, p: Tensor, who: str) -> None:
    """Equality in Fenchel's inequality, relative to the terms."""
    scale = value.abs() + conjugate.abs() + norm(u) * norm(p) + 1e-12
    error = (value + conjugate - inner(u, p)).abs() / scale
    at_most(float(error.max()), INEXACT, f"{who} must satisfy R(u) + R*(p) = <u, p> at subgradients p of R at u")


def _number(value: Tensor | None) -> Tensor:
    if value is None:
        raise NotPromised("it states no conjugate")
    return value


CHECKS = (
    prox_minimises_its_objective,
    prox_takes_step_per_sample,
    prox_satisfies_moreau,
    conjugate_satisfies_fenchel,
    prox_is_firmly_nonexpansive,
    split_terms_have_right_proxes,
)
