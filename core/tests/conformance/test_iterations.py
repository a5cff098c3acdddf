"""Iterations and what runs them: broken promises are caught by the check of that promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import pytest
import torch
from torch import Tensor, nn

from wellposed.errors import CompositionError
from wellposed.iteration import Iteration
from wellposed.operator import LinearOperator, Operator, RowBlock
from wellposed.problem import Problem
from wellposed.regularizer import Zero
from wellposed.state import State, bookkeeping
from wellposed.testing import check_component
from wellposed.testing.doubles import GradientStep, Image


@dataclass(frozen=True)
class Counted(State):
    x: Tensor
    count: Tensor = bookkeeping()


class Decreasing(Iteration[Counted]):
    """Gradient descent whose step falls with a counter: not stationary."""

    source = "test"
    requires = frozenset({"grad"})
    stationary = False

    def check(self, problem: Problem) -> None:
        super().check(problem)
        GradientStep().check(problem)

    def init(self, problem: Problem, x: Tensor | None = None) -> Counted:
        x = problem.zeros() if x is None else x
        return Counted(x, torch.zeros(len(x), dtype=x.dtype, device=x.device))

    def step(self, problem: Problem, state: Counted) -> Counted:
        size = 1 / (GradientStep()._smoothness(problem) * (1 + 0.001 * state.count))
        size = size.reshape(-1, *([1] * (state.x.ndim - 1)))
        return Counted(state.x - size * problem.gradient(state.x), state.count + 1)


class Cyclic(Iteration[Image]):
    """Block Landweber: one sweep over the rows; solves consistent equations alone."""

    source = "test"
    solves = "data"

    def __init__(self) -> None:
        super().__init__()
        self.kept: WeakKeyDictionary[Operator, Sequence[RowBlock]] = WeakKeyDictionary()

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if not isinstance(problem.regularizer, Zero):
            raise CompositionError("Cyclic uses no regularizer; leave it out")

    def init(self, problem: Problem, x: Tensor | None = None) -> Image:
        return Image(problem.zeros() if x is None else x)

    def blocks(self, problem: Problem) -> Sequence[RowBlock]:
        """The row blocks of an operator, made once for it."""
        assert isinstance(problem.operator, LinearOperator)
        if problem.operator not in self.kept:
            self.kept[problem.operator] = problem.operator.row_blocks(4)
        return self.kept[problem.operator]

    def step(self, problem: Problem, state: Image) -> Image:
        x = state.x
        for block in self.blocks(problem):
            residual = block.restrict(problem.measurement) - block(x)
            x = x + block.adjoint(residual) / block.norm() ** 2
        return Image(x)


class Learned(Iteration[Image]):
    """One learned number; it promises no limit."""

    source = "test"

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.tensor(0.1))

    def init(self, problem: Problem, x: Tensor | None = None) -> Image:
        return Image(problem.zeros() if x is None else x)

    def step(self, problem: Problem, state: Image) -> Image:
        return Image(state.x - self.size * problem.data_gradient(state.x))


# Wrong ones ---------------------------------------------------------------------------------------


class WritesIntoState(GradientStep):
    def step(self, problem: Problem, state: Image) -> Image:
        return Image(state.x.sub_(problem.gradient(state.x) / self._smoothness(problem)))


class Momentum(GradientStep):
    """Keeps the previous image outside its state."""

    def step(self, problem: Problem, state: Image) -> Image:
        new = super().step(problem, state).x
        before = getattr(self, "before", state.x)
        before = before if before.shape == new.shape else state.x
        self.before = new.detach()
        return Image(new + 0.1 * (new - before))


class FalselyStationary(Decreasing):
    stationary = True


class SmallBound(GradientStep):
    def error_bound(self, problem: Problem, state: Image) -> Tensor | None:
        bound = super().error_bound(problem, state)
        return None if bound is None else 0.05 * bound


class ConstantBound(GradientStep):
    def error_bound(self, problem: Problem, state: Image) -> Tensor | None:
        return torch.full((problem.batch,), 1e3, dtype=torch.float64)


class HalfGap(GradientStep):
    def duality_gap(self, problem: Problem, state: Image) -> Tensor | None:
        gap = super().duality_gap(problem, state)
        return None if gap is None else 0.1 * gap


class IgnoresRegularizer(GradientStep):
    def step(self, problem: Problem, state: Image) -> Image:
        return Image(state.x - problem.data_gradient(state.x) / self._smoothness(problem))


class Diverging(GradientStep):
    def step(self, problem: Problem, state: Image) -> Image:
        return Image(state.x - 2.2 * problem.gradient(state.x) / self._smoothness(problem))


class SharedStep(GradientStep):
    """One line search for the whole batch."""

    def step(self, problem: Problem, state: Image) -> Image:
        gradient = problem.gradient(state.x)
        return Image(state.x - gradient / (1 + self._smoothness(problem) + gradient.abs().max()))


class TakesAnyRegularizer(GradientStep):
    def check(self, problem: Problem) -> None:
        pass


class IgnoresStart(GradientStep):
    def init(self, problem: Problem, x: Tensor | None = None) -> Image:
        return Image(problem.zeros())


class ScalarState(Decreasing):
    def init(self, problem: Problem, x: Tensor | None = None) -> Counted:
        start = super().init(problem, x)
        return Counted(start.x, start.count[0])

    def step(self, problem: Problem, state: Counted) -> Counted:
        return Counted(state.x - problem.gradient(state.x) / 10, state.count + 1)


class DoubleOnly(GradientStep):
    def step(self, problem: Problem, state: Image) -> Image:
        return Image(super().step(problem, state).x.double())


class DeadWeight(Learned):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.tensor(0.1))


_BOUNDS = {"error-bound-holds-where-it-is-tight", "error-bound-holds-in-float32"}
_WRONG = {
    WritesIntoState: {"step-is-pure", "starts-where-asked"},
    Momentum: {"step-is-pure"},
    FalselyStationary: {"stationary-map-depends-on-state-alone"},
    SmallBound: {"error-bound-holds", *_BOUNDS},
    ConstantBound: {"error-bound-holds", *_BOUNDS, "certificates-are-announced"},
    HalfGap: {
        "duality-gap-bounds-suboptimality",
        "duality-gap-holds-where-it-is-tight",
        "duality-gap-over-a-ball-holds",
    },
    IgnoresRegularizer: {"converges-to-closed-form"},
    Diverging: {"converges-to-closed-form", "stays-at-fixed-point"},
    SharedStep: {"treats-samples-independently"},
    TakesAnyRegularizer: {"refuses-what-it-cannot-use", "refuses-nonlinear-operators"},
    IgnoresStart: {"starts-where-asked"},
    ScalarState: {"state-is-batched"},
    DoubleOnly: {"keeps-precision", "reaches-closed-forms", "error-bound-holds-in-float32"},
    DeadWeight: {"learned-parts-get-gradients"},
}


@pytest.mark.parametrize("cls", _WRONG, ids=lambda cls: cls.__name__)
def test_wrong_iteration_is_caught(cls: type, failures) -> None:
    assert _WRONG[cls] <= set(failures("iterations", cls))


@pytest.mark.parametrize("cls", [GradientStep, Decreasing, Cyclic, Learned], ids=lambda cls: cls.__name__)
def test_right_iteration_passes(cls: type, failures) -> None:
    assert failures("iterations", cls) == {}


def test_narrow_mistakes_fail_nothing_else(failures) -> None:
    for cls in (FalselyStationary, SmallBound, ConstantBound, HalfGap, IgnoresStart, DeadWeight, DoubleOnly):
        assert set(failures("iterations", cls)) == _WRONG[cls]


def test_message_explains_what_an_equation_solver_must_declare(failures) -> None:
    assert "solves = 'data'" in failures("iterations", IgnoresRegularizer)["converges-to-closed-form"]


def test_learned_iterations_promise_no_limit() -> None:
    results = {r.check: r for r in check_component("iterations", Learned)}
    assert results["converges-to-closed-form"].outcome == "skipped"
