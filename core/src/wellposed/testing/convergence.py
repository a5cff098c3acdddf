"""Where an iteration goes: to closed-form solutions of small problems, with certificates that hold on the way.

`Iteration.solves` says what is promised: "objective" iterations minimise `D(A(x)) + R(x)`; "data"
iterations solve `A x = y` and are checked on measurements that have an exact solution.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import CompositionError
from ..iteration import Iteration
from ..regularizer import Regularizer, Zero
from ..space import norm
from .doubles import QuadraticRegularizer
from .iterations import problem_for, run
from .measure import at_most, generator, size_of, that
from .problems import Posed, least_squares, nonlinear_least_squares
from .promise import NotPromised, check
from .subject import Subject

#: Distance to the solution, relative to it, that an iteration has to reach in so many steps …
_TOLERANCE, _LIMIT = 1e-5, 3000
#: … or to approach, if it converges sublinearly: this near, and nearer by this factor in the last two thirds.
_NEAR, _SUBLINEAR = 0.02, 0.7


@check()
def converges_to_closed_form(subject: Subject) -> None:
    """On least squares with and without a quadratic regularizer it goes to the closed-form solution."""
    iteration = _without_learned_parts(subject)
    for posed in _promised_problems(iteration):
        third, reached = _distances(iteration, posed)
        if reached <= _NEAR and reached <= _SUBLINEAR * third:
            continue
        what = "with a quadratic regularizer" if _regularized(posed) else "without a regularizer"
        at_most(
            reached,
            _TOLERANCE,
            f"{subject.label} must reach the solution of a 20 × 16 least-squares problem {what} in {_LIMIT} steps, or "
            f"come within {_NEAR} and still get nearer; after a third of them it was {third:.3g} from it. Relative "
            f"distance to the closed form (an iteration that only solves Ax = y says solves = 'data')",
        )


@check(applies=lambda cls: bool(cls.stationary))
def stays_at_fixed_point(subject: Subject) -> None:
    """Where it has converged, one more step of a stationary map changes nothing."""
    iteration = _without_learned_parts(subject)
    if not iteration.stationary:
        raise NotPromised("it does not claim to be stationary")
    problem = next(_promised_problems(iteration)).problem
    state, change = iteration.init(problem), float("inf")
    for _ in range(_LIMIT):
        after = iteration.step(problem, state)
        change = size_of(after.flatten() - state.flatten()) / (size_of(after.flatten()) or 1.0)
        if change <= 1e-9:
            return
        state = after
    at_most(change, 1e-9, f"the relative change of {subject.label}'s state by one step after {_LIMIT}")


@check(applies=lambda cls: cls.error_bound is not Iteration.error_bound)
def error_bound_holds(subject: Subject) -> None:
    """At every step `error_bound ≥ ‖estimate − solution‖`, and it falls as the iteration converges."""
    iteration = subject.build()
    posed = _promised(iteration, QuadraticRegularizer())
    first = last = None
    for state in _trajectories(iteration, posed):
        bound = iteration.error_bound(posed.problem, state)
        if bound is None:
            raise NotPromised("it certifies no bound on a strongly convex quadratic problem")
        distance = norm(iteration.estimate(state) - posed.solution)
        worst = float((distance - bound - 1e-12 * norm(posed.solution)).max())
        that(
            worst <= 0,
            f"error_bound of {subject.label} must be at least the true distance; it is smaller by {worst:.3g} "
            f"(bound {bound.tolist()}, distance {distance.tolist()})",
        )
        first, last = (bound if first is None else first), bound
    assert first is not None
    assert last is not None
    at_most(float((last / first).max()), 0.1, f"error_bound of {subject.label} must fall as it converges; last/first")


@check(applies=lambda cls: cls.duality_gap is not Iteration.duality_gap)
def duality_gap_bounds_suboptimality(subject: Subject) -> None:
    """At every step `duality_gap ≥ objective − minimum`, and it falls as the iteration converges."""
    iteration = subject.build()
    posed = _promised(iteration, QuadraticRegularizer())
    minimum = posed.problem.objective(posed.solution)
    first = last = None
    for state in _trajectories(iteration, posed):
        gap = iteration.duality_gap(posed.problem, state)
        if gap is None:
            raise NotPromised("it has no gap for a quadratic fidelity and regularizer")
        excess = posed.problem.objective(iteration.estimate(state)) - minimum
        worst = float((excess - gap - 1e-12 * minimum.abs()).max())
        that(
            worst <= 0,
            f"duality_gap of {subject.label} must be at least the suboptimality; it is smaller by {worst:.3g} "
            f"(gap {gap.tolist()}, suboptimality {excess.tolist()})",
        )
        first, last = (gap if first is None else first), gap
    assert first is not None
    assert last is not None
    at_most(float((last / first).max()), 0.1, f"duality_gap of {subject.label} must fall as it converges; last/first")


@check(applies=lambda cls: cls.linear_only is not True)
def descends_on_nonlinear_operators(subject: Subject) -> None:
    """With a mildly nonlinear operator the gradient of the objective falls to a thousandth."""
    iteration = _without_learned_parts(subject)
    if iteration.linear_only:
        raise NotPromised("it is for linear operators")
    problem = nonlinear_least_squares(problem_for(iteration).regularizer)
    try:
        iteration.check(problem)
    except CompositionError as refusal:
        raise NotPromised(f"it refuses this problem: {refusal}") from refusal
    x = iteration.estimate(run(iteration, problem, 400))
    left = norm(problem.gradient(x)) / norm(problem.gradient(problem.zeros()))
    at_most(float(left.max()), 1e-3, f"‖∇J‖ after 400 steps of {subject.label}, relative to the start")


# Problems -----------------------------------------------------------------------------------------


def _promised_problems(iteration: Iteration) -> Iterator[Posed]:
    """The problems whose solution the iteration promises; those that it refuses are left out."""
    if hasattr(type(iteration), "example_problem"):
        raise NotPromised("it is made for a regularizer of its own; where it goes is for its own tests")
    data = iteration.solves == "data"
    found = False
    regularizers: tuple[Regularizer, ...] = (Zero(), QuadraticRegularizer())
    for regularizer in regularizers:
        posed = least_squares(regularizer, consistent=data)
        if data:
            # Full column rank: the one solution of Ax = y is found whatever the regularizer prefers.
            posed = Posed(posed.problem, least_squares(consistent=True).solution)
        try:
            iteration.check(posed.problem)
        except CompositionError:
            continue
        found = True
        yield posed
    that(found, f"{type(iteration).__name__} refuses every least-squares problem")


def _promised(iteration: Iteration, regularizer: Regularizer) -> Posed:
    posed = least_squares(regularizer)
    try:
        iteration.check(posed.problem)
    except CompositionError as refusal:
        raise NotPromised(f"it refuses a quadratic regularizer: {refusal}") from refusal
    return posed


def _without_learned_parts(subject: Subject) -> Iteration:
    iteration = subject.build()
    if any(p.requires_grad for p in iteration.parameters()):
        raise NotPromised("it is learned; where it goes depends on training")
    return iteration


def _regularized(posed: Posed) -> bool:
    return isinstance(posed.problem.regularizer, QuadraticRegularizer)


def _distances(iteration: Iteration, posed: Posed) -> tuple[float, float]:
    """Relative distance to the solution after a third of the steps and after all, or once it is small enough."""
    state = iteration.init(posed.problem)
    scale = norm(posed.solution)
    third = distance = float("inf")
    with torch.no_grad():
        for count in range(1, _LIMIT + 1):
            state = iteration.step(posed.problem, state)
            if count % 50 == 0:
                distance = float((norm(iteration.estimate(state) - posed.solution) / scale).max())
                third = distance if count == _LIMIT // 3 else third
                if not distance > _TOLERANCE:
                    break
    return third, distance


def _trajectories(iteration: Iteration, posed: Posed) -> Iterator:
    """States at the first steps and later ones, from zero and then from random images."""
    random: Tensor = 10 * torch.rand(posed.solution.shape, generator=generator(6), dtype=torch.float64)
    for start in (random, None):
        state = iteration.init(posed.problem, start)
        for count in range(1, 201):
            state = iteration.step(posed.problem, state)
            if count <= 20 or count % 20 == 0:
                yield state


CHECKS = (
    converges_to_closed_form,
    stays_at_fixed_point,
    error_bound_holds,
    duality_gap_bounds_suboptimality,
    descends_on_nonlinear_operators,
)
