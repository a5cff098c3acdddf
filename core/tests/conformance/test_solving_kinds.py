"""Solvers, their parts, networks, trainers: right ones pass, wrong ones are caught by their check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from wellposed.acceleration import Acceleration, NoAcceleration
from wellposed.dataset import Dataset
from wellposed.errors import InputError
from wellposed.gradient import Gradient, NoGradient, Unrolled
from wellposed.network import Network
from wellposed.operator import Operator
from wellposed.problem import Problem
from wellposed.solution import Solution
from wellposed.stopping import Progress, RelativeChange
from wellposed.testing import check_component
from wellposed.testing.doubles import LearnedFilter
from wellposed.trainer import Fitted, Trainer


class Filter(Network):
    """A convolution that is symmetric under quarter turns."""

    source = "test"
    in_channels = 2
    equivariances = frozenset({"c4"})

    def __init__(self) -> None:
        super().__init__()
        self.centre, self.edge = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor) -> Tensor:
        shifted = [torch.roll(x, shift, axis) for shift in (1, -1) for axis in (-1, -2)]
        return self.centre * x + self.edge * torch.stack(shifted).sum(0)


class Descent(Trainer):
    """Plain gradient descent on the first sample, with its weights kept in the folder."""

    source = "test"
    seeded = True

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: Any = None) -> Fitted:
        kept = folder / "weights.safetensors"
        if kept.exists():
            target.load_state_dict(safetensors.torch.load_file(kept))
            return Fitted(target, 3)
        sample = data[0]
        assert sample.measurement is not None
        assert sample.truth is not None
        optimiser = torch.optim.SGD(target.parameters(), lr=0.1)
        for _ in range(3):
            loss = (target(sample.measurement[None], sample.operator) - sample.truth[None]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        self.finish(target, kept)
        return Fitted(target, 3)

    def finish(self, target: nn.Module, kept: Path) -> None:
        safetensors.torch.save_file(target.state_dict(), kept)


class Unsymmetric(Filter):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.edge * torch.roll(x, 2, -1)


class BatchNormalised(Filter):
    equivariances = frozenset()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / x.std()


class DeadEdge(Filter):
    def forward(self, x: Tensor) -> Tensor:
        return self.centre * x


class TurningSolver(LearnedFilter):
    """Its initial kernel is constant, so that it keeps what it claims."""

    equivariances = frozenset({"c4", "c2"})

    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.filter.weight, 0.1)


class Leaning(TurningSolver):
    """Claims the same and leans to one side."""

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        x = super().forward(y, operator)
        return x + 0.1 * torch.roll(x, 1, -1)


class WarmSolver(LearnedFilter):
    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        x = super().forward(y, operator)
        last = getattr(self, "last", None)
        self.last = x.detach()
        return x if last is None or last.shape != x.shape else x + 0.1 * last


class Forgetful(LearnedFilter):
    """Reports success whatever the measurement holds."""

    def solve(self, problem: Problem, **options: Any) -> Solution:
        from wellposed.solution import Verdict

        x = self(problem.measurement, problem.operator)
        return Solution(x, tuple(Verdict.COMPLETED for _ in x), tuple(0 for _ in x))


class Frozen(LearnedFilter):
    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        return super().forward(y, operator).detach()


class Coupled(LearnedFilter):
    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        x = super().forward(y, operator)
        return x / x.detach().abs().max()


class StaleCache(LearnedFilter):
    """Something derived from the weights is kept when they change."""

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        if not hasattr(self, "size"):
            self.size = self.filter.weight.detach().abs().sum()
        return super().forward(y, operator) * self.size


class Extrapolating(Acceleration):
    """Goes twice as far: no longer the same fixed point's basin."""

    source = "test"

    def advance(self, apply: Callable, state: Any, memory: Any) -> tuple[Any, Any]:
        new = apply(state)
        return new.unflatten(state.flatten() + 4.0 * (new.flatten() - state.flatten())), memory


class Lazy(Acceleration):
    """Damped: right, and slower than nothing at all."""

    source = "test"

    def advance(self, apply: Callable, state: Any, memory: Any) -> tuple[Any, Any]:
        new = apply(state)
        return new.unflatten(0.9 * state.flatten() + 0.1 * new.flatten()), memory


class CountingMemory(NoAcceleration):
    def init(self, state: Any) -> Any:
        return {"count": 0}


class Reversed(Gradient):
    """The tape of one step, with its sign turned."""

    source = "test"

    def attach(self, problem: Problem, iteration: Any, state: Any) -> Any:
        fixed = state.detach()
        new = iteration.step(problem, fixed)
        return new.unflatten(fixed.flatten() - (new.flatten() - new.flatten().detach()))


class Shifted(Unrolled):
    def attach(self, problem: Problem, iteration: Any, state: Any) -> Any:
        return state.unflatten(state.flatten() * 1.001)


class NeverStops(RelativeChange):
    def measure(self, progress: Progress) -> Tensor:
        return super().measure(progress) + 1.0


class Scalar(RelativeChange):
    def measure(self, progress: Progress) -> Tensor:
        return super().measure(progress).max()


class Untrained(Descent):
    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: Any = None) -> Fitted:
        return Fitted(target, 3)


class GoesOnTraining(Descent):
    def finish(self, target: nn.Module, kept: Path) -> None:
        with torch.no_grad():
            safetensors.torch.save_file({k: v + 1 for k, v in target.state_dict().items()}, kept)


class TrainsRegularizer(Descent):
    """Cannot train a solver."""

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: Any = None) -> Fitted:
        if isinstance(target, LearnedFilter):
            raise InputError("only regularizers are trained here")
        return super().fit(target, data, folder)


_RIGHT = [
    ("networks", Filter),
    ("solvers", LearnedFilter),
    ("solvers", TurningSolver),
    ("accelerations", NoAcceleration),
    ("gradients", NoGradient),
    ("gradients", Unrolled),
    ("stopping", RelativeChange),
    ("trainers", Descent),
    ("trainers", TrainsRegularizer),
]

_WRONG = [
    ("networks", Unsymmetric, "claimed-equivariances-hold"),
    ("networks", BatchNormalised, "is-pure-and-samplewise"),
    ("networks", DeadEdge, "every-parameter-learns"),
    ("solvers", Leaning, "claimed-equivariances-hold"),
    ("solvers", WarmSolver, "has-no-hidden-state"),
    ("solvers", Forgetful, "survives-broken-measurements"),
    ("solvers", Frozen, "overfits-one-sample"),
    ("solvers", Coupled, "treats-samples-independently"),
    ("solvers", StaleCache, "weights-survive-safetensors"),
    ("accelerations", Extrapolating, "reaches-the-fixed-point"),
    ("accelerations", Lazy, "reaches-the-fixed-point"),
    ("accelerations", CountingMemory, "memory-is-a-state"),
    ("gradients", Reversed, "points-the-right-way"),
    ("gradients", Shifted, "leaves-the-solution-alone"),
    ("stopping", NeverStops, "stops-where-its-level-is-met"),
    ("stopping", Scalar, "measures-one-number-per-sample"),
    ("trainers", Untrained, "trains-repeatably"),
    ("trainers", GoesOnTraining, "goes-on-from-its-checkpoint"),
]


@pytest.mark.parametrize(("kind", "cls"), _RIGHT, ids=lambda value: getattr(value, "__name__", value))
def test_right_component_passes(kind: str, cls: type, failures) -> None:
    assert failures(kind, cls) == {}


@pytest.mark.parametrize(("kind", "cls", "check"), _WRONG, ids=lambda value: getattr(value, "__name__", value))
def test_wrong_component_is_caught(kind: str, cls: type, check: str, failures) -> None:
    assert check in failures(kind, cls)


def test_trainer_of_something_else_is_told_how_to_be_checked() -> None:
    results = {r.check: r for r in check_component("trainers", TrainsRegularizer)}
    assert results["trains-repeatably"].outcome == "skipped"
    assert "example_task" in results["trains-repeatably"].message
