"""The upper level: what it refuses by name, what an evaluation holds, and the penalty on the condition number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from bilevel_doubles import Identity, Quadratic, Smoothed, denoiser, signals
from torch import Tensor

from wellposed import CompositionError, Dataset, InputError, Problem, Sample
from wellposed.dataset import generator_of
from wellposed.fidelity import Fidelity
from wellposed.regularizer import Zero
from wellposed.testing.doubles import DenseOperator, LearnedFilter, QuadraticFidelity
from wellposed_bilevel.conditioning import ConditionPenalty, condition_number
from wellposed_bilevel.datasets.indicator_signals import IndicatorSignals
from wellposed_bilevel.evaluator import Budget
from wellposed_bilevel.lower_level import Demand
from wellposed_bilevel.parameters import Parameter, ParameterSpace
from wellposed_bilevel.upper_level import UpperLevel

SPACE = ParameterSpace([Parameter("regularizer.weight", 0.0, (-1.0, 1.0))])


class Edited(Dataset):
    """Three noisy signals; the sample `place` is changed."""

    def __init__(self, place: int = 1, count: int = 3, **changes: Any) -> None:
        self.inner, self.place, self.count, self.changes = signals(3, 16), place, count, changes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        sample = self.inner[index]
        if index != self.place:
            return sample
        return replace(sample, **{k: v(getattr(sample, k)) if callable(v) else v for k, v in self.changes.items()})


def with_one(value: float) -> Any:
    def change(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor[0, 5] = value
        return tensor

    return change


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Edited(count=0), "the training data hold no sample"),
        (Edited(truth=None), "needs truth and measurement of each sample; indicator-1 lacks one"),
        (Edited(2, measurement=None), "needs truth and measurement of each sample; indicator-2 lacks one"),
        (Edited(truth=with_one(torch.nan)), "truth or measurement of indicator-1 holds numbers that are not finite"),
        (Edited(0, measurement=with_one(torch.inf)), "truth or measurement of indicator-0 holds numbers"),
        (Edited(0, operator=None), "they need one operator in common"),
        (Edited(2, operator=lambda _: Identity(16)), "they need one operator in common"),
        (Edited(truth=lambda t: t[:, :15]), "they must have one size"),
    ],
)
def test_data_that_cannot_be_learned_from(data: Dataset, words: str) -> None:
    with pytest.raises(InputError, match=words):
        UpperLevel.pose(denoiser(Quadratic()), data, SPACE)


def test_targets_that_cannot_be_trained() -> None:
    with pytest.raises(CompositionError, match="parameters of an iterative solver; LearnedFilter is none"):
        UpperLevel.pose(LearnedFilter(), Edited(), SPACE)
    with pytest.raises(InputError, match="no attribute 'weight'"):
        UpperLevel.pose(denoiser(Smoothed()), Edited(), SPACE)


@pytest.mark.parametrize("penalty", [None, ConditionPenalty(0.25)])
def test_an_evaluation_is_the_objective_at_its_point(penalty: ConditionPenalty | None) -> None:
    """`x = y/(1 + w)` with `w = 10^θ`: residuals, value, penalty and the images themselves."""
    problem = UpperLevel.pose(denoiser(Quadratic()), signals(3, 16), SPACE, penalty)
    point = np.array([0.75])  # w = 10^0.5
    found, x = problem.evaluate(7, point, Demand(1e-9), None)
    weight = 10**0.5
    torch.testing.assert_close(x, problem.measurement / (1 + weight), rtol=1e-8, atol=1e-8)
    distances = (problem.measurement / (1 + weight) - problem.truth).flatten(1).norm(dim=1).numpy()
    np.testing.assert_allclose(found.residuals, distances, rtol=1e-7)
    assert found.penalty == (0.0 if penalty is None else pytest.approx(0.25))  # L/μ = 1 for a multiple of a square
    assert found.value == pytest.approx(float(distances @ distances) + found.penalty)
    assert (found.index, found.attained, found.demand) == (7, True, Demand(1e-9))
    assert bool((found.bounds <= 1e-9).all())
    assert problem.count == 3
    point[0] = 0.0
    assert found.point[0] == 0.75, "the evaluation keeps its own point"
    coarse, _ = problem.evaluate(8, np.array([0.75]), Demand(iterations=1), x)
    assert coarse.work == 3


def test_installing_a_point_writes_the_parameters() -> None:
    solver = denoiser(Quadratic(5.0))
    problem = UpperLevel.pose(solver, signals(2, 16), SPACE)
    assert solver.regularizer.weight == 5.0
    problem.install(np.array([1.0]))
    assert solver.regularizer.weight == pytest.approx(10.0)
    about = problem.document()
    assert about.keys() == {"data", "operator", "solver"}
    assert len(about["solver"]) == 5
    assert about["data"] != UpperLevel.pose(solver, signals(2, 16, seed=1), SPACE).document()["data"]


def weighted(weights: Tensor) -> Fidelity:
    class Weighted(QuadraticFidelity):
        """`w/2 ‖v − y‖²`, a weight for each sample."""

        def smoothness(self, y: Tensor) -> Tensor:
            return weights

        strong_convexity = smoothness

    return Weighted()


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_the_condition_number_is_that_of_the_worst_sample(size: float) -> None:
    """`A = size·Q`, weights `w_i`, `R` with `L_R` and `μ_R`: `L = max w·size² + L_R`, `μ = min w·size² + μ_R`."""
    q = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    operator = DenseOperator.from_tensor(size * q, (1, 4), isometry=size**2)
    regularizer = Smoothed(alpha=0.2, nu=0.1, xi=0.3)  # L = 4·0.2/0.1 + 0.3
    weights = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    problem = Problem(operator, torch.zeros(3, 4, dtype=torch.float64), weighted(weights), regularizer)
    expected = (2.0 * size**2 + 8.3) / (0.5 * size**2 + 0.3)
    assert condition_number(problem) == pytest.approx(expected, rel=1e-4)
    assert ConditionPenalty(0.1)(problem) == pytest.approx(0.1 * expected**2, rel=1e-4)


def test_without_an_isometry_the_regularizer_alone_is_strongly_convex() -> None:
    matrix = torch.diag(torch.tensor([3.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    y = torch.zeros(1, 4, dtype=torch.float64)
    operator = DenseOperator.from_tensor(matrix, (1, 4))
    assert condition_number(Problem(operator, y, QuadraticFidelity(), Quadratic(0.5))) == pytest.approx(9.5 / 0.5)
    with pytest.raises(CompositionError, match="needs a strongly convex objective"):
        condition_number(Problem(operator, y, QuadraticFidelity(), Zero()))


def test_a_condition_number_needs_constants() -> None:
    y = torch.zeros(1, 4, dtype=torch.float64)

    class Rough(QuadraticFidelity):
        def smoothness(self, y: Tensor) -> None:
            return None

    class Kinked(Quadratic):
        def smoothness_on(self, x: Tensor) -> None:
            return None

    class OfCounts(QuadraticFidelity):
        smooth_everywhere = False

    operator = DenseOperator.from_tensor(torch.eye(4, dtype=torch.float64), (1, 4))
    for problem in (
        Problem(operator, y, Rough(), Quadratic()),
        Problem(operator, y, OfCounts(), Quadratic()),
        Problem(operator, y, QuadraticFidelity(), Kinked()),
    ):
        with pytest.raises(CompositionError, match="the penalty on the condition number needs a smooth objective"):
            condition_number(problem)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_the_penalty_has_a_positive_weight(weight: float) -> None:
    with pytest.raises(InputError, match="penalty's weight must be positive"):
        ConditionPenalty(weight)


@pytest.mark.parametrize("numbers", [(0, None), (-1, None), (3, 0), (3, -2)])
def test_budgets_of_nothing_are_refused(numbers: tuple[int, int | None]) -> None:
    with pytest.raises(InputError, match=f"a budget must be positive; got {numbers[0]} evaluations, {numbers[1]}"):
        Budget(*numbers)
    assert Budget(1, 1).spent(0, 1)
    assert Budget(1, 1).spent(1, 0)
    assert not Budget(2, 2).spent(1, 1)
    assert not Budget(2).spent(1, 10**9)


def test_indicators_are_one_around_their_centre() -> None:
    """`1` where `|t − c| < r`, with `c` in (−1, 1) and `r` in (½, 1) drawn from the seed and the number."""
    for index in range(5):
        signal = IndicatorSignals(5, 401, seed=2)[index].truth
        assert signal is not None
        uniform = torch.rand(2, generator=generator_of(2, index), dtype=torch.float64)
        centre, radius = float(2 * uniform[0] - 1), float(0.5 + 0.5 * uniform[1])
        inside = torch.linspace(-2, 2, 401, dtype=torch.float64)[signal[0] == 1]
        assert float(inside[0]) == pytest.approx(centre - radius, abs=0.011)
        assert float(inside[-1]) == pytest.approx(centre + radius, abs=0.011)
        assert set(signal.unique().tolist()) == {0.0, 1.0}
        assert signal.dtype == torch.float32
