"""Whether certificates certify: error bounds and duality gaps where they are nearly tight, or tempted to be wrong.

On diagonal problems, whose solutions are known, from the solution and an error in the slowest mode: there Banach's
bound is an equation, and the gap is the suboptimality where the dual variable is optimal from the start (zero data).
Condition numbers up to 1e4, single precision, more steps than it takes to look converged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..iteration import Iteration
from ..problem import Problem
from ..regularizer import Zero
from ..space import norm
from ..state import State
from .closed_forms import SHAPE, Form, accepts, classical, forms
from .doubles import QuadraticFidelity, QuadraticRegularizer
from .measure import generator, that
from .problems import Posed
from .promise import NotPromised, check
from .subject import Subject
from .terms import AbsoluteSum, ConcaveQuadratic, shrink

_STEPS = 300
_LOOKS = {0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 30, 45, 70, 100, 150, 200, 251, 300}
#: Size of the error in the slowest mode that a run starts with.
_ERROR = 10.0


def _may_certify(cls: type[Iteration]) -> bool:
    """Whether a class says anything of its own about certificates."""
    own = ("error_bound", "certifies", "duality_gap", "has_duality_gap")
    return any(getattr(cls, name) is not getattr(Iteration, name) for name in own)


@check(applies=lambda cls: cls.error_bound is not Iteration.error_bound, since="0.2")
def error_bound_holds_where_it_is_tight(subject: Subject) -> None:
    """`error_bound ≥ ‖estimate − solution‖` from errors in the slowest mode, in float64."""
    _assert_bounds(subject, torch.float64)


@check(applies=lambda cls: cls.error_bound is not Iteration.error_bound, since="0.2")
def error_bound_holds_in_float32(subject: Subject) -> None:
    """In float32 `error_bound` counts rounding too: it is nowhere below the distance, and not 0 away from it."""
    _assert_bounds(subject, torch.float32)


@check(applies=lambda cls: cls.duality_gap is not Iteration.duality_gap, since="0.2")
def duality_gap_holds_where_it_is_tight(subject: Subject) -> None:
    """`duality_gap ≥ objective − minimum` from errors in the slowest mode, and where only the image is wrong."""
    iteration = classical(subject)
    given = False
    for form, posed, start in _runs(iteration, torch.float64):
        minimum = posed.problem.objective(posed.solution)
        for count, state in _states(iteration, posed.problem, start):
            gap = iteration.duality_gap(posed.problem, state)
            if gap is None:
                break
            given = True
            excess = posed.problem.objective(iteration.estimate(state)) - minimum
            slack = 1e-11 * (minimum.abs() + excess.abs()) + 1e-13
            that(
                bool((torch.isnan(excess) | (gap > 1e300) | (gap >= excess - slack)).all()),
                f"duality_gap of {subject.label} must be at least the suboptimality; on {form.name} after {count} "
                f"steps it is {gap.tolist()}, the suboptimality {excess.tolist()}",
            )
    if not given:
        raise NotPromised("it has no gap on any of these problems")


@check(applies=lambda cls: cls.duality_gap is not Iteration.duality_gap, since="0.2")
def duality_gap_over_a_ball_holds(subject: Subject) -> None:
    """With a `radius` that the solution does not exceed, the gap is at least the suboptimality too."""
    iteration = classical(subject)
    given = False
    for form, posed, start in _runs(iteration, torch.float64):
        if bool(torch.isnan(posed.solution).any()):
            continue
        minimum = posed.problem.objective(posed.solution)
        radius = 1.001 * float(norm(posed.solution).max()) + 1e-6
        for count, state in _states(iteration, posed.problem, start, 60):
            gap = iteration.duality_gap(posed.problem, state, radius=radius)
            if gap is None:
                break
            given = given or bool(torch.isfinite(gap).any())
            excess = posed.problem.objective(iteration.estimate(state)) - minimum
            slack = 1e-11 * (minimum.abs() + excess.abs()) + 1e-13
            that(
                bool((torch.isnan(excess) | (gap > 1e300) | (gap >= excess - slack)).all()),
                f"duality_gap of {subject.label} over a ball that holds the solution must be at least the "
                f"suboptimality; on {form.name} after {count} steps it is {gap.tolist()}, that {excess.tolist()}",
            )
    if not given:
        raise NotPromised("it has no gap over a ball on any of these problems")


@check(applies=_may_certify, since="0.2")
def certificates_are_announced(subject: Subject) -> None:
    """`certifies` says beforehand whether there is an error bound, `has_duality_gap` that there is a gap."""
    iteration = classical(subject)
    for form, posed, start in _runs(iteration, torch.float64):
        announced, possible = iteration.certifies(posed.problem), iteration.has_duality_gap(posed.problem)
        states = [state for _, state in _states(iteration, posed.problem, start, 11)]
        bounds = [iteration.error_bound(posed.problem, state) for state in states]
        found = any(bound is not None for bound in bounds)
        that(
            found == announced,
            f"{subject.label}.certifies says {announced} on {form.name}, and its error_bound is "
            f"{'a number' if found else 'None'}",
        )
        gaps = [iteration.duality_gap(posed.problem, state) for state in states]
        that(
            not possible or all(gap is not None for gap in gaps),
            f"{subject.label}.has_duality_gap says that it has one on {form.name}, and its duality_gap is None",
        )


def _assert_bounds(subject: Subject, dtype: torch.dtype) -> None:
    iteration = classical(subject).to(dtype)
    given = False
    for form, posed, start in _runs(iteration, dtype):
        for count, state in _states(iteration, posed.problem, start):
            bound = iteration.error_bound(posed.problem, state)
            if bound is None:
                break
            given = given or bool(torch.isfinite(bound).any())
            estimate = iteration.estimate(state).to(posed.solution.dtype)
            distance = _distance(form, estimate, posed.solution)
            # A few units in the last place of the image are in its representation; squares underflow.
            slack = 4 * torch.finfo(dtype).eps * norm(posed.solution) + 10 * torch.finfo(dtype).tiny ** 0.5
            that(
                bool((bound.double() >= distance * (1 - 1e-9) - slack).all()),
                f"error_bound of {subject.label} must be at least the distance to the solution; in "
                f"{str(dtype).removeprefix('torch.')} on {form.name} after {count} steps it is {bound.tolist()}, the "
                f"distance {distance.tolist()}",
            )
    if not given:
        raise NotPromised("it certifies no bound on any of these problems")


# Problems -----------------------------------------------------------------------------------------


def _hard_forms() -> list[Form]:
    """Problems of large condition numbers, of data that are zero, and such as have no bound at all."""
    uniform = torch.rand(SHAPE, generator=generator(21), dtype=torch.float64)
    spread = 10.0 ** (-2 * uniform)
    spread.view(-1)[0], spread.view(-1)[1] = 1.0, 1e-2
    singular = spread.clone()
    singular.view(-1)[5] = 0.0
    isometry = torch.where(uniform < 0.5, -1.0, 1.0).double()
    y = torch.randn((2, *SHAPE), generator=generator(22), dtype=torch.float64)

    def ridge(m: float) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda d, y: d * y / (d**2 + m)

    def net(w: float, m: float) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda d, y: shrink(d * y, w) / (d**2 + m)

    def small() -> QuadraticRegularizer:
        return QuadraticRegularizer(1e-4)

    def spanned(d: Tensor, y: Tensor) -> Tensor:
        return torch.where(d == 0, torch.nan, y / d)

    least = QuadraticFidelity
    return [
        Form("condition 1e4", spread, least, small, ridge(1e-4), y),
        Form("a singular operator", singular, least, small, ridge(1e-4), y),
        Form("a singular operator and zero data", singular, least, lambda: QuadraticRegularizer(0.3),
             ridge(0.3), 0 * y),
        Form("a singular operator and large data", singular, least, lambda: QuadraticRegularizer(0.01),
             ridge(0.01), 1e3 * y),
        Form("absolute values of condition 1e3", spread, least, lambda: AbsoluteSum(0.05, 1e-3), net(0.05, 1e-3), y),
        Form("absolute values and zero data", singular, least, lambda: AbsoluteSum(0.05, 0.1), net(0.05, 0.1), 0 * y),
        Form("an isometry", isometry, least, Zero, lambda d, y: d * y, y),
        Form("an isometry and absolute values", isometry, least, lambda: AbsoluteSum(0.3), net(0.3, 0.0), y),
        Form("a regularizer that is not convex", isometry, least, ConcaveQuadratic, lambda d, y: d * y / (1 - 0.5), y),
        Form("many solutions", singular, least, Zero, spanned, y * (singular != 0)),
    ]  # fmt: skip


def _runs(iteration: Iteration, dtype: torch.dtype) -> Iterator[tuple[Form, Posed, Tensor]]:
    """Accepted problems with their starts: for half of the samples the solution and an error in the slowest mode."""
    easy = [f for f in forms() if f.diagonal.ndim == len(SHAPE)]
    for form in [*_hard_forms(), *easy]:
        twice = replace(form, data=torch.cat([form.data, form.data]))
        posed = accepts(iteration, twice, dtype)
        if posed is None:
            continue
        slowest = int(form.diagonal.abs().flatten().argmin())
        start = posed.solution.nan_to_num().to(posed.problem.zeros().dtype)
        start.view(len(start), -1)[:, slowest] += _ERROR
        start[len(form.data) :] = 0
        yield form, posed, start


def _states(
    iteration: Iteration, problem: Problem, start: Tensor | None, steps: int = _STEPS
) -> Iterator[tuple[int, State]]:
    with torch.no_grad():
        state = iteration.init(problem, start)
        for count in range(steps + 1):
            if count in _LOOKS:
                yield count, state
            state = iteration.step(problem, state)


def _distance(form: Form, estimate: Tensor, solution: Tensor) -> Tensor:
    """To the nearest solution: entries that the data do not touch, marked by not-a-number, may be anything."""
    return norm(torch.where(torch.isnan(solution), 0.0, estimate - solution))


CHECKS = (
    error_bound_holds_where_it_is_tight,
    error_bound_holds_in_float32,
    duality_gap_holds_where_it_is_tight,
    duality_gap_over_a_ball_holds,
    certificates_are_announced,
)
