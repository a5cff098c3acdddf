"""What solvers offer to trainers, metrics of many images, and operators for images of another size."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from wellposed import Problem, ShapeError, Space, Stop
from wellposed.dataset import Dataset, Simulated
from wellposed.experiment import Results, Row
from wellposed.gradient import Gradient, Unrolled
from wellposed.metric import Metric
from wellposed.operator import LinearOperator
from wellposed.solution import Verdict
from wellposed.solver import Iterative
from wellposed.testing.doubles import Bumps, GradientStep, Image, LearnedFilter, QuadraticFidelity
from wellposed.testing.problems import least_squares


class Wishing(GradientStep):
    """Gradient descent that wishes for small images."""

    requires = frozenset()

    def training_penalty(self, problem: Problem, state: Image) -> Tensor:
        return state.x.square().flatten(1).sum(1)


class Fitting(LearnedFilter):
    """Remembers what it was prepared with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def prepare(self, data: Dataset) -> None:
        self.seen.append(len(data))


def test_an_iterations_wish_reaches_the_trainer_with_the_image() -> None:
    problem = least_squares().problem
    solver = Iterative(Wishing(), QuadraticFidelity(), stop=Stop(3), gradient=Unrolled())
    x, penalty = solver.with_penalty(problem.measurement, problem.operator)
    assert penalty is not None
    assert torch.equal(penalty, x.square().flatten(1).sum(1))
    assert torch.equal(x, solver(problem.measurement, problem.operator))


def test_without_a_wish_there_is_none() -> None:
    problem = least_squares().problem
    for solver in (Iterative(GradientStep(), QuadraticFidelity(), stop=Stop(3)), LearnedFilter().double()):
        x, penalty = solver.with_penalty(problem.measurement, problem.operator)
        assert penalty is None
        assert torch.equal(x, solver(problem.measurement, problem.operator))


def test_a_solver_prepares_the_one_that_it_starts_from_and_keeps_it_when_unrolled() -> None:
    start = Fitting()
    solver = Iterative(GradientStep(), QuadraticFidelity(), init=start)
    solver.prepare(Bumps(count=3))
    assert start.seen == [3]
    assert solver.unrolled(2).start is start


@pytest.mark.parametrize("gradient", [None, Unrolled(), Unrolled(checkpoint=True)])
def test_a_checkpointed_solver_stays_so_when_unrolled(gradient: Gradient | None) -> None:
    found = Iterative(GradientStep(), QuadraticFidelity(), gradient=gradient).unrolled(2).gradient
    assert isinstance(found, Unrolled)
    assert found.checkpoint == getattr(gradient, "checkpoint", False)


class Energy(Metric):
    """The ratio of sums of squares."""

    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return (x - truth).square().flatten(1).sum(1) / self.weight(truth)

    def weight(self, truth: Tensor) -> Tensor:
        return truth.square().flatten(1).sum(1)


def test_the_metric_of_many_images_is_a_weighted_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(4, 1, 3, 3, generator=generator) * torch.tensor([1.0, 2.0, 3.0, 10.0]).view(-1, 1, 1, 1)
    x = truth + torch.randn(truth.shape, generator=generator)
    metric = Energy()
    values, weights = metric(x, truth).tolist(), metric.weight(truth).tolist()
    expected = float((x - truth).square().sum() / truth.square().sum())
    assert metric.pooled(values, weights) == pytest.approx(expected, rel=1e-5)
    assert Metric().pooled([1.0, 2.0, 6.0], Metric().weight(truth[:3]).tolist()) == pytest.approx(3.0)


def test_results_pool_each_metric_in_its_own_way() -> None:
    rows = [
        Row("s", str(i), {"energy": v, "psnr": v}, 0.1, 1, Verdict.COMPLETED, weights={"energy": w})
        for i, (v, w) in enumerate([(1.0, 1.0), (3.0, 3.0)])
    ]
    better = {"energy": "lower", "psnr": "higher"}
    pooled = Results(rows, [], better, {"energy": Energy().pooled}).summary()[0]
    assert pooled["energy"] == 2.5
    assert pooled["psnr"] == 2.0
    assert Results(rows, [], better).summary()[0]["energy"] == 2.0


class Halving(LinearOperator):
    """`x/2`, for images of any size."""

    def __init__(self, size: int) -> None:
        super().__init__(Space((1, size, size)), Space((1, size, size)))

    def for_shape(self, shape: Sequence[int]) -> Halving:
        return self if tuple(shape) == self.domain.shape else Halving(shape[-1])

    def _forward(self, x: Tensor) -> Tensor:
        return 0.5 * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return 0.5 * y


def test_images_of_another_size_are_measured_by_an_operator_of_theirs_built_once() -> None:
    data = Simulated(Bumps(count=3, size=6), Halving(8))
    first, second = data[0], data[1]
    assert first.operator is second.operator
    assert first.operator is not None
    assert first.operator.domain.shape == (1, 6, 6)
    assert first.truth is not None
    assert first.measurement is not None
    assert torch.equal(first.measurement, 0.5 * first.truth)
    same = Simulated(Bumps(count=1, size=8), Halving(8))
    assert same[0].operator is same.operator


def test_operators_of_one_size_say_so() -> None:
    operator = least_squares().problem.operator
    assert operator.for_shape(operator.domain.shape) is operator
    with pytest.raises(ShapeError, match=r"takes images of shape .*, and no other size"):
        operator.for_shape((1, 5, 5))
    with pytest.raises(ShapeError, match="Cut or resize the images"):
        Simulated(Bumps(size=6), operator)[0]
