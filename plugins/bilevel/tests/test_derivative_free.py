"""The trainer `bilevel-dfo`: known optima, certified decrease, and the refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bilevel_doubles import Nesterov, Quadratic, Smoothed, denoiser, signals

from wellposed import CompositionError, Dataset, InputError, Regularizer, Sample, Simulated
from wellposed.regularizer import Sum
from wellposed.testing.doubles import LearnedFilter
from wellposed_bilevel.accuracy import Dynamic, Iterations, Tolerance
from wellposed_bilevel.conditioning import ConditionPenalty
from wellposed_bilevel.evaluator import Budget, Evaluator
from wellposed_bilevel.lower_level import Demand
from wellposed_bilevel.parameters import Parameter, ParameterSpace
from wellposed_bilevel.trainers.derivative_free import DerivativeFree
from wellposed_bilevel.trainers.implicit import ImplicitGradient
from wellposed_bilevel.transcript import Transcript, evaluation_of, read_transcript
from wellposed_bilevel.trust_region import ACCEPTED, Ending, LeastSquaresTrustRegion, Region
from wellposed_bilevel.upper_level import UpperLevel

WEIGHT = Parameter("regularizer.weight", 1.5, (-3.0, 3.0))
THREE = [
    Parameter("regularizer.alpha", 0.0, (-4.0, 3.0)),
    Parameter("regularizer.nu", -1.0, (-4.0, 0.0)),
    Parameter("regularizer.xi", -1.0, (-4.0, 0.0)),
]


def best_weight(data: Simulated) -> tuple[float, float]:
    """`x = y/(1+w)`, so the best factor is `<y, truth>/<y, y>`: the optimal weight and objective."""
    samples = [data[i] for i in range(len(data))]
    y, truth = torch.stack([s.measurement for s in samples]), torch.stack([s.truth for s in samples])
    factor = float((y * truth).sum() / (y * y).sum())
    return 1 / factor - 1, float((factor * y - truth).square().sum())


@pytest.mark.parametrize("accuracy", [None, Tolerance(1e-7), Iterations(60)])
def test_the_known_optimum_of_a_quadratic_problem_is_found(tmp_path: Path, accuracy) -> None:
    data = signals(4, 32)
    fitted = DerivativeFree([WEIGHT], accuracy, evaluations=60).fit(denoiser(Quadratic()), data, tmp_path)
    weight, objective = best_weight(data)
    assert fitted.metrics["objective"] == pytest.approx(objective, rel=1e-6)
    assert fitted.metrics["regularizer.weight"] == pytest.approx(weight, rel=2e-2)
    assert fitted.target.regularizer.weight == fitted.metrics["regularizer.weight"]
    assert fitted.target.regularizer.smoothness == fitted.metrics["regularizer.weight"], "constants follow"


def test_an_optimum_outside_the_box_is_found_at_its_face(tmp_path: Path) -> None:
    data = signals(4, 32)
    weight, _ = best_weight(data)
    lower = np.log10(weight) + 0.5
    parameter = Parameter("regularizer.weight", lower + 1.0, (lower, lower + 3.0))
    fitted = DerivativeFree([parameter], evaluations=40).fit(denoiser(Quadratic()), data, tmp_path)
    assert fitted.metrics["regularizer.weight"] == pytest.approx(10**lower, rel=1e-6)


def trained(folder: Path, limit: int = 20_000) -> tuple[LeastSquaresTrustRegion, UpperLevel, Ending]:
    """The method after 40 evaluations, its problem, and why it stopped."""
    space = ParameterSpace(THREE)
    problem = UpperLevel.pose(denoiser(Smoothed(), limit), signals(3, 32), space, ConditionPenalty(1e-6))
    evaluator = Evaluator(problem, Transcript(folder, {}), Budget(40))
    method = LeastSquaresTrustRegion(evaluator, Dynamic(), Region(), space.start)
    return method, problem, method.run()


def test_no_step_is_accepted_whose_decrease_is_not_certified(tmp_path: Path) -> None:
    method, problem, _ = trained(tmp_path)
    accepted = [d for d in method.decisions if d.accepted]
    assert len(accepted) >= 5
    for decision in accepted:
        centre, trial = decision.centre, decision.trial
        assert trial.value + trial.error < centre.value - centre.error
        assert centre.value - trial.value >= ACCEPTED * decision.predicted
        exact = [problem.evaluate(0, e.point, Demand(1e-9), None)[0].value for e in (centre, trial)]
        assert abs(exact[0] - centre.value) <= centre.error + 1e-7
        assert abs(exact[1] - trial.value) <= trial.error + 1e-7
        assert exact[1] < exact[0]


@pytest.mark.parametrize("evaluations", [4, 8, 9, 17, 22, 26])
def test_what_is_returned_is_not_surely_worse_than_what_was_evaluated(tmp_path: Path, evaluations: int) -> None:
    """Whenever the budget ends: also between an evaluation and what the method makes of it."""
    trainer = DerivativeFree(THREE, evaluations=evaluations, penalty=ConditionPenalty(1e-6))
    fitted = trainer.fit(denoiser(Smoothed()), signals(3, 32), tmp_path)
    least = fitted.metrics["objective"] - fitted.metrics["error"]
    evaluated = [evaluation_of(entry) for entry in read_transcript(tmp_path)]
    assert least <= min(e.value + e.error for e in evaluated)


def test_accuracy_is_dynamic(tmp_path: Path) -> None:
    trained(tmp_path)
    asked = [entry["demand"]["accuracy"] for entry in read_transcript(tmp_path)]
    assert asked[0] == pytest.approx(0.1)
    assert min(asked) < 1e-2 * asked[0]


def test_a_lower_level_that_cannot_be_solved_is_said(tmp_path: Path) -> None:
    method, _, ending = trained(tmp_path, limit=15)
    assert ending is Ending.FLOOR
    assert all(d.trial.value + d.trial.error < d.centre.value - d.centre.error for d in method.decisions if d.accepted)


def test_three_parameters_come_near_the_optimum_of_gradients(tmp_path: Path) -> None:
    """The median of four draws: on one of them either method may end in a worse place than the other."""

    penalty, ratios, gains = ConditionPenalty(1e-6), [], []
    for seed in range(4):
        data, here = signals(3, 32, seed=seed), tmp_path / str(seed)
        free = DerivativeFree(THREE, evaluations=60, penalty=penalty).fit(denoiser(Smoothed()), data, here / "a")
        led = ImplicitGradient(THREE, evaluations=30, penalty=penalty).fit(denoiser(Smoothed()), data, here / "b")
        ratios.append(free.metrics["objective"] / led.metrics["objective"])
        gains.append(free.metrics["objective"] / read_transcript(here / "a")[0]["value"])
    assert np.median(ratios) <= 1.1
    assert np.median(gains) < 0.5


def test_the_budget_in_iterations_ends_the_run(tmp_path: Path) -> None:
    DerivativeFree(THREE, work=500).fit(denoiser(Smoothed()), signals(3, 32), tmp_path)
    works = [entry["work"] for entry in read_transcript(tmp_path)]
    assert sum(works[:-1]) < 500 <= sum(works)


def test_parameters_inside_a_sum_are_reached_and_the_rest_is_shared(tmp_path: Path) -> None:
    parameters = [
        Parameter("regularizer.terms.0.regularizer.nu", -1.0, (-3.0, 0.0)),
        Parameter("regularizer.terms.0.weight", 0.0, (-2.0, 1.0)),
    ]
    regularizer: Regularizer = Sum([2.0 * Smoothed(1.0, 0.1, 1e-3), Quadratic(0.1)])
    target = denoiser(regularizer)
    problem = UpperLevel.pose(target, signals(2, 32), ParameterSpace(parameters))
    built = problem.problem(np.array([1.0, 0.0])).regularizer
    assert isinstance(built, Sum)
    first, second = built
    assert (float(first.weight), first.regularizer.nu, first.regularizer.alpha) == (0.01, 1.0, 1.0)
    assert second is list(regularizer)[1]
    assert target.regularizer is regularizer, "the target is not touched before the end"


@pytest.mark.parametrize(
    ("target", "parameters", "error", "said"),
    [
        (LearnedFilter(), [WEIGHT], CompositionError, "iterative solver"),
        (denoiser(Smoothed()), [WEIGHT], InputError, "no attribute 'weight'"),
        (denoiser(Smoothed()), [Parameter("regularizer.convex", 0.0, (-1.0, 1.0))], InputError, "is a bool, not a num"),
        (denoiser(Sum([Smoothed()])), [Parameter("regularizer.terms.3.nu", 0.0, (-1.0, 1.0))], InputError, "1 parts"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_sentence(tmp_path: Path, target, parameters, error, said) -> None:
    with pytest.raises(error, match=said):
        DerivativeFree(parameters).fit(target, signals(2, 32), tmp_path)


class Broken(Dataset):
    """Signals of which the second has a number that is none."""

    def __init__(self, part: str) -> None:
        self.inner, self.part = signals(2, 32), part

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        sample = self.inner[index]
        tensor = getattr(sample, self.part).clone()
        tensor[0, 3] = torch.nan if index else tensor[0, 3]
        return replace(sample, **{self.part: tensor})


@pytest.mark.parametrize("part", ["truth", "measurement"])
def test_data_that_are_not_finite_are_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(InputError, match="indicator-1 holds numbers that are not finite"):
        DerivativeFree(THREE).fit(denoiser(Smoothed()), Broken(part), tmp_path)


def test_an_iteration_without_certificate_is_refused(tmp_path: Path) -> None:
    class Bare(Nesterov):
        def error_bound(self, problem, state):
            return None

    with pytest.raises(CompositionError, match="certifies no error bound"):
        DerivativeFree([WEIGHT]).fit(denoiser(Quadratic(), iteration=Bare()), signals(2, 32), tmp_path)


@pytest.mark.parametrize("trainer", [DerivativeFree, ImplicitGradient])
def test_an_objective_that_overflows_is_refused_with_its_place(tmp_path: Path, trainer) -> None:
    with pytest.raises(InputError, match=r"objective at regularizer\.alpha = .* is inf, which no model"):
        trainer(THREE, penalty=ConditionPenalty(1e307)).fit(denoiser(Smoothed()), signals(2, 32), tmp_path)
