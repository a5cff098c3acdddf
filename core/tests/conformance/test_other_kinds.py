"""The kinds with few promises: right components pass, wrong ones are caught by the check meant for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from wellposed.acceleration import Acceleration, NoAcceleration
from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.fidelity import Fidelity
from wellposed.gradient import Gradient, NoGradient, Unrolled
from wellposed.metric import Metric
from wellposed.network import Network
from wellposed.noise import Noise, NoNoise
from wellposed.operator import Operator
from wellposed.pattern import Pattern
from wellposed.problem import Problem
from wellposed.solution import Solution
from wellposed.stopping import Progress, RelativeChange
from wellposed.testing import check_component
from wellposed.testing.doubles import Bumps, LearnedFilter, PeriodicBlur, QuadraticFidelity
from wellposed.trainer import Fitted, Trainer

# Right ones -----------------------------------------------------------------------------------------


class Additive(Noise):
    """Normal noise of standard deviation 0.1."""

    source = "test"

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + 0.1 * torch.randn(v.shape, generator=generator, dtype=v.dtype)

    def fidelity(self) -> Fidelity:
        return QuadraticFidelity()


class Stripes(Pattern):
    """Every second row."""

    source = "test"

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        mask = torch.zeros(shape)
        mask[::2] = 1
        return mask


class MeanSquare(Metric):
    """The mean squared error of each image."""

    source = "test"
    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return (x - truth).square().flatten(1).mean(1)


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


# Wrong ones -----------------------------------------------------------------------------------------


class NoStep(QuadraticFidelity):
    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        return (v + y) / 2


class NegativeValue(QuadraticFidelity):
    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return super().forward(v, y) - 1000.0


class HalfGradient(QuadraticFidelity):
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return 0.5 * super().gradient(v, y)


class WrongConjugate(QuadraticFidelity):
    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        return super().conjugate(p, -y)


class TooSmooth(QuadraticFidelity):
    def smoothness(self, y: Tensor) -> float:
        return 0.5


class MovesMeasurement(QuadraticFidelity):
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return y.neg_().add(v)


class GlobalNoise(Additive):
    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + 0.1 * torch.randn_like(v)


class SameForAll(Additive):
    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + 0.1 * torch.randn(v.shape[1:], generator=generator, dtype=v.dtype)


class Biased(Additive):
    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return super().forward(v, generator) + 0.03


class RandomStripes(Stripes):
    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape)


class KeptStripes(Stripes):
    def __init__(self) -> None:
        self.kept = torch.ones(16, 16)

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return self.kept


class UpsideDown(MeanSquare):
    better = "higher"


class BatchMean(MeanSquare):
    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return super().__call__(x, truth).mean().expand(len(x))


class Unsymmetric(Filter):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.edge * torch.roll(x, 2, -1)


class BatchNormalised(Filter):
    equivariances = frozenset()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / x.std()


class Detached(Filter):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - self.edge.detach() * x + 0 * self.centre.detach()


class DeadEdge(Filter):
    def forward(self, x: Tensor) -> Tensor:
        return self.centre * x


class Shuffled(Bumps):
    """Every reading counts."""

    def __getitem__(self, index: int) -> Sample:
        self.seed += 1
        return super().__getitem__(index)


class GlobalSeed(Bumps):
    def __getitem__(self, index: int) -> Sample:
        torch.manual_seed(self.check_index(index))
        return Sample("noise", torch.rand(1, 8, 8))


class Endless(Bumps):
    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index % self.count)


class SharedImage(Bumps):
    def __init__(self) -> None:
        super().__init__()
        self.kept = [super(SharedImage, self).__getitem__(i) for i in range(4)]

    def __getitem__(self, index: int) -> Sample:
        return self.kept[self.check_index(index)]


class Holes(Bumps):
    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        assert sample.truth is not None
        sample.truth[0, 0, 0] = float("nan")
        return sample


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
    ("fidelities", QuadraticFidelity),
    ("noise", Additive),
    ("noise", NoNoise),
    ("patterns", Stripes),
    ("metrics", MeanSquare),
    ("networks", Filter),
    ("datasets", Bumps),
    ("solvers", LearnedFilter),
    ("solvers", TurningSolver),
    ("operators", PeriodicBlur),
    ("accelerations", NoAcceleration),
    ("gradients", NoGradient),
    ("gradients", Unrolled),
    ("stopping", RelativeChange),
    ("trainers", Descent),
    ("trainers", TrainsRegularizer),
]

_WRONG = [
    ("fidelities", NoStep, "prox-minimises-its-objective"),
    ("fidelities", NegativeValue, "value-is-nonnegative"),
    ("fidelities", HalfGradient, "gradient-is-right"),
    ("fidelities", WrongConjugate, "conjugate-satisfies-fenchel"),
    ("fidelities", TooSmooth, "claimed-constants-hold"),
    ("fidelities", MovesMeasurement, "leaves-inputs-unchanged"),
    ("noise", GlobalNoise, "draws-from-its-generator-alone"),
    ("noise", SameForAll, "samples-are-independent"),
    ("noise", Biased, "fidelity-is-its-likelihood"),
    ("patterns", RandomStripes, "is-repeatable"),
    ("patterns", KeptStripes, "gives-its-own-tensor"),
    ("metrics", UpsideDown, "says-what-is-better"),
    ("metrics", BatchMean, "is-pure-and-samplewise"),
    ("networks", Unsymmetric, "claimed-equivariances-hold"),
    ("networks", BatchNormalised, "is-pure-and-samplewise"),
    ("networks", DeadEdge, "every-parameter-learns"),
    ("datasets", Shuffled, "samples-depend-on-their-index-alone"),
    ("datasets", GlobalSeed, "samples-depend-on-their-index-alone"),
    ("datasets", Endless, "counts-like-a-sequence"),
    ("datasets", SharedImage, "samples-are-their-own"),
    ("datasets", Holes, "holds-samples"),
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
