"""Problems whose solution is known entry by entry, and where iterations go on them.

They differ from the plain least-squares problem in all that iterations are known to get wrong: non-smooth terms and
their weights, complex images, several channels, weighted and non-smooth data terms, an operator for each sample,
terms behind an analysis map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import CompositionError
from ..fidelity import Fidelity
from ..iteration import Iteration
from ..operator import LinearOperator
from ..problem import Problem
from ..regularizer import Regularizer, Zero
from ..space import norm
from .doubles import QuadraticFidelity, QuadraticRegularizer
from .iterations import problem_for, run
from .measure import at_most, generator
from .problems import Posed
from .promise import NotPromised, check
from .subject import Subject
from .tapes import assert_differentiable
from .terms import (
    AbsoluteDeviation,
    AbsoluteSum,
    DiagonalOperator,
    Interval,
    OperatorPerSample,
    PairDifferences,
    WeightedQuadratic,
    shrink,
)

SHAPE = (3, 2, 4)
_BATCH = 2
#: As for the plain problem: reached, or near and still getting nearer.
_TOLERANCE, _LIMIT, _NEAR, _SUBLINEAR = 1e-5, 2000, 0.02, 0.7

Solve = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Form:
    """A problem `min D(d x, y) + R(x)` and its solution as a function of `d` and `y`."""

    name: str
    diagonal: Tensor
    fidelity: Callable[[], Fidelity]
    regularizer: Callable[[], Regularizer]
    solve: Solve
    data: Tensor

    def pose(self, dtype: torch.dtype = torch.float64) -> Posed:
        """The problem in precision `dtype`, and the exact solution of the numbers as they were rounded."""
        complex_ = self.diagonal.is_complex()
        field = dtype.to_complex() if complex_ else dtype
        exact = torch.complex128 if complex_ else torch.float64
        d, y = self.diagonal.to(field), self.data.to(field)
        operator: LinearOperator
        operator = OperatorPerSample(d) if d.ndim > len(SHAPE) else DiagonalOperator(d)
        problem = Problem(operator.to(dtype), y, self.fidelity(), self.regularizer())
        return Posed(problem, self.solve(d.to(exact), y.to(exact)))


def forms() -> list[Form]:
    """The problems on which iterations are checked."""
    d, y = _singular(), _numbers(3)
    dc, yc = d * torch.exp(1j * _numbers(7)[0]), _numbers(3) + 1j * _numbers(4)
    pairs = d[..., ::2].repeat_interleave(2, -1)
    each = torch.stack([d, d.flip(-1) * 1.3])
    weights = 0.5 + _numbers(8)[0].abs()
    quadratic = lambda: QuadraticRegularizer(0.3)  # noqa: E731
    net = lambda: AbsoluteSum(0.2, 0.3)  # noqa: E731

    def ridge(d: Tensor, y: Tensor) -> Tensor:
        return d.conj() * y / (d.abs() ** 2 + 0.3)

    def shrunk(d: Tensor, y: Tensor) -> Tensor:
        return shrink(d.conj() * y, 0.2) / (d.abs() ** 2 + 0.3)

    def lasso(d: Tensor, y: Tensor) -> Tensor:
        return shrink(d.conj() * y, 0.2) / d.abs() ** 2

    def deviation(d: Tensor, y: Tensor) -> Tensor:
        return torch.sgn(d * y) * torch.minimum((y / d).abs(), d.abs() / 0.3)

    least = QuadraticFidelity
    return [
        Form("three channels", d, least, quadratic, ridge, y),
        Form("complex images", dc, least, quadratic, ridge, yc),
        Form("complex data without a regularizer", dc, least, Zero, lambda d, y: y / d, yc),
        Form("weighted data", d, lambda: WeightedQuadratic(weights), quadratic,
             lambda d, y: weights * d * y / (weights * d**2 + 0.3), y),
        Form("an operator for each sample", each, least, quadratic, ridge, y),
        Form("absolute values", d, least, lambda: AbsoluteSum(0.2), lasso, y),
        Form("absolute values and squares", d, least, net, shrunk, y),
        Form("absolute values of complex images", dc, least, lambda: AbsoluteSum(0.2), lasso, yc),
        Form("weighted absolute values", d, least, lambda: 0.5 * AbsoluteSum(0.4), lasso, y),
        Form("a sum of terms", d, least, lambda: AbsoluteSum(0.2) + QuadraticRegularizer(0.3), shrunk, y),
        Form("an interval", d, least, Interval, lambda d, y: (y / d).clamp(-0.5, 0.7), y),
        Form("differences of pairs", pairs, least, PairDifferences, _paired, y),
        Form("absolute deviations", d, AbsoluteDeviation, quadratic, deviation, y),
    ]  # fmt: skip


@check(applies=lambda cls: cls.solves == "objective", since="0.2")
def reaches_closed_forms(subject: Subject) -> None:
    """It goes to the solution of every problem that it accepts: complex, of several channels, non-smooth, weighted."""
    iteration = classical(subject)
    if iteration.solves != "objective":
        raise NotPromised("it solves Ax = y, and not for a minimiser")
    accepted = 0
    for form in forms():
        posed = accepts(iteration, form)
        if posed is None:
            continue
        if posed.problem.fidelity.smoothness(posed.problem.measurement) is None and "step_size" in subject.arguments:
            continue  # who gives a step size by hand may use gradients that jump, and is promised nothing
        accepted += 1
        third, reached = distances(iteration, posed, _LIMIT)
        if reached <= _NEAR and reached <= _SUBLINEAR * third:
            continue
        at_most(
            reached,
            _TOLERANCE,
            f"{subject.label} accepts the problem of {form.name} and must reach its solution in {_LIMIT} steps, or "
            f"come within {_NEAR} and still get nearer; after a third it was {third:.3g} from it. Relative distance",
        )
    if not accepted:
        raise NotPromised("it refuses all of these problems")


@check(applies=lambda cls: cls.requires == frozenset({"split"}), since="0.2")
def works_with_analysis_maps(subject: Subject) -> None:
    """What asks for a split takes one with an analysis map, as total variation has."""
    iteration = classical(subject)
    (form,) = (f for f in forms() if f.name == "differences of pairs")
    if accepts(iteration, form) is None:
        raise AssertionError(f"{subject.label} requires split, but refuses a term behind an analysis map")


@check(since="0.2")
def works_in_every_unit(subject: Subject) -> None:
    """Data a million times as large, or as small, are solved as well: no absolute constant is in the way."""
    iteration = classical(subject)
    if "step_size" in subject.arguments:
        raise NotPromised("its step size was given by hand")
    (form,) = (f for f in forms() if f.name == "three channels")
    ridge = replace(form, solve=lambda d, y: d * y / (d**2 + 0.3))
    plain = replace(form, regularizer=Zero, solve=lambda d, y: y / d)
    for posed in (accepts(iteration, ridge), accepts(iteration, plain)):
        if posed is None or (iteration.solves == "data" and posed.problem.regularizer.strong_convexity):
            continue
        for scale in (2.0**20, 2.0**-20):
            problem = replace(posed.problem, measurement=scale * posed.problem.measurement)
            third, reached = distances(iteration, Posed(problem, scale * posed.solution), _LIMIT)
            if reached <= _NEAR and reached <= _SUBLINEAR * third:
                continue
            at_most(
                reached,
                _TOLERANCE,
                f"{subject.label} on data {scale:g} times as large must reach the solution in {_LIMIT} steps, as in "
                f"other units; after a third of them it was {third:.3g} from it. Relative distance",
            )


@check(since="0.2")
def tape_through_steps_is_right(subject: Subject) -> None:
    """Where `differentiable`, automatic differentiation of the estimate after three steps is right."""
    iteration = subject.build()
    if not iteration.differentiable:
        raise NotPromised("its steps are not to be differentiated (differentiable = False)")
    problem = problem_for(iteration)

    def estimate(y: Tensor) -> Tensor:
        return iteration.estimate(run(iteration, replace(problem, measurement=y), 3))

    # What a step is adapted to counts as a constant: the solution does not depend on it.
    tolerance = 1e-4 if iteration.stationary else 0.1
    who = f"the estimate of {subject.label} after three steps"
    assert_differentiable(estimate, problem.measurement, who, tolerance)


# Running ------------------------------------------------------------------------------------------


def classical(subject: Subject) -> Iteration:
    """The iteration, where it minimises an objective that others state."""
    iteration = subject.build()
    if any(p.requires_grad for p in iteration.parameters()):
        raise NotPromised("it is learned; where it goes depends on training")
    if hasattr(type(iteration), "example_problem"):
        raise NotPromised("it is made for a regularizer of its own; where it goes is for its own tests")
    return iteration


def accepts(iteration: Iteration, form: Form, dtype: torch.dtype = torch.float64) -> Posed | None:
    posed = form.pose(dtype)
    try:
        iteration.check(posed.problem)
    except CompositionError:
        return None
    return posed


def distances(iteration: Iteration, posed: Posed, limit: int) -> tuple[float, float]:
    """Relative distance to the solution after a third of the steps and after all, or once it is small enough."""
    state = iteration.init(posed.problem)
    third = distance = float("inf")
    with torch.no_grad():
        for count in range(1, limit + 1):
            state = iteration.step(posed.problem, state)
            if count % 25 == 0 or count == limit // 3:
                distance = float((norm(iteration.estimate(state) - posed.solution) / norm(posed.solution)).max())
                third = distance if count <= limit // 3 else third
                if not distance > _TOLERANCE:
                    break
    return third, distance


def entries(form: Form) -> Iterator[int]:
    """The entries in the order of the size of their singular value."""
    yield from form.diagonal.abs().flatten().argsort().tolist()


def _singular() -> Tensor:
    """Between 0.5 and 1.5, of both signs."""
    uniform = torch.rand(SHAPE, generator=generator(11), dtype=torch.float64)
    sign = torch.where(torch.rand(SHAPE, generator=generator(12)) < 0.3, -1.0, 1.0)
    return (0.5 + uniform) * sign.double()


def _numbers(seed: int) -> Tensor:
    return torch.randn((_BATCH, *SHAPE), generator=generator(seed), dtype=torch.float64)


def _paired(d: Tensor, y: Tensor) -> Tensor:
    """Means and differences of pairs come apart where a pair shares its singular value."""
    d = d[..., ::2]
    mean, difference = (y[..., ::2] + y[..., 1::2]) / 2, y[..., ::2] - y[..., 1::2]
    half = shrink(d * difference, 2 * 0.2) / d**2 / 2
    return torch.stack([mean / d + half, mean / d - half], dim=-1).flatten(-2)


CHECKS = (reaches_closed_forms, works_with_analysis_maps, works_in_every_unit, tape_through_steps_is_right)
