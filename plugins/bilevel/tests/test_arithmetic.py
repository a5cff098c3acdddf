"""The error-bound arithmetic, the strategies of accuracy and the parameters' records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wellposed import InputError
from wellposed_bilevel.accuracy import Dynamic, Iterations, Tolerance
from wellposed_bilevel.evaluation import Evaluation, accuracy_for, objective_error
from wellposed_bilevel.lower_level import Demand
from wellposed_bilevel.parameters import Parameter, ParameterSpace


def evaluation(residuals: list[float], bounds: list[float], point: float = 0.5, penalty: float = 0.0) -> Evaluation:
    return Evaluation(0, np.array([point]), np.array(residuals), np.array(bounds), penalty, Demand(0.1), 1, True)


def test_the_objective_s_error_is_bounded_and_by_no_more_than_the_uniform_bound() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        n = int(rng.integers(1, 20))
        exact = rng.uniform(0, 2, n)
        d = rng.uniform(0, 0.5)
        bounds = d * rng.uniform(0, 1, n)
        measured = np.abs(exact + bounds * rng.uniform(-1, 1, n))
        f, error = float(measured @ measured), objective_error(measured, bounds)
        assert abs(f - float(exact @ exact)) <= error * (1 + 1e-12) + 1e-15
        assert error <= (2 * np.sqrt(n * f) * d + n * d**2) * (1 + 1e-12)


def test_the_bound_is_attained() -> None:
    measured, bounds = np.array([0.5, 1.0]), np.array([0.1, 0.2])
    exact = measured + bounds
    assert objective_error(measured, bounds) == pytest.approx(exact @ exact - measured @ measured, rel=1e-12)


@pytest.mark.parametrize("data", [0.0, 1e-8, 3.0, 1e4])
@pytest.mark.parametrize("error", [1e-14, 1e-3, 10.0])
def test_the_asked_accuracy_gives_the_asked_error_exactly(data: float, error: float) -> None:
    n = 7
    d = accuracy_for(error, data, n)
    assert 2 * np.sqrt(n * data) * d + n * d**2 == pytest.approx(error, rel=1e-10)


def test_dynamic_accuracy_asks_for_what_a_decision_needs() -> None:
    strategy = Dynamic(factor=10.0, share=0.04)
    centre = evaluation([1.0, 2.0], [0.1, 0.1])
    assert strategy.model(0.1) == Demand(pytest.approx(0.1))
    asked = strategy.decrease(0.1, 0.5, centre).accuracy
    assert asked is not None
    assert strategy.resolves(evaluation([1.0, 2.0], [asked, asked]), 0.5)
    assert not strategy.resolves(centre, 0.5)
    assert strategy.decrease(1e-3, 0.5, centre).accuracy == pytest.approx(1e-5), "capped by factor·Δ²"


def test_lower_means_certified_lower_under_dynamic_accuracy_alone() -> None:
    old, new = evaluation([1.0], [0.1]), evaluation([0.95], [0.1])
    assert not Dynamic().is_lower(new, old)
    assert Dynamic().is_lower(evaluation([0.5], [0.01]), old)
    assert Tolerance(0.1).is_lower(new, old)
    assert not Tolerance(0.01).is_lower(replace(new, attained=False), old), "its solve missed the tolerance"
    assert Tolerance(0.01).is_lower(replace(evaluation([0.5], [0.05]), attained=False), old), "surely lower"
    assert Iterations(10).is_lower(new, old)


def test_parameters_map_between_box_exponent_and_number() -> None:
    space = ParameterSpace(
        [Parameter("regularizer.alpha", 0.0, (-7.0, 7.0)), Parameter("regularizer.xi", 0.5, (0.0, 2.0), "linear")]
    )
    assert space.start.tolist() == [0.5, 0.25]
    assert space.values(np.array([0.5, 1.0])) == {"regularizer.alpha": 1.0, "regularizer.xi": 2.0}
    assert space.theta(np.array([1.0, 0.0])) == {"regularizer.alpha": 7.0, "regularizer.xi": 0.0}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Parameter("regularizer.alpha", 9.0, (-7.0, 7.0)), "outside the box"),
        (lambda: Parameter("regularizer.alpha", 0.0, (1.0, 1.0)), "lower end below"),
        (lambda: Parameter("regularizer.alpha", 0.0, (-np.inf, np.inf)), "finite exponents"),
        (lambda: Parameter("regularizer.alpha", 0.0, (-1.0, 400.0)), "below 300"),
        (lambda: Parameter("regularizer.alpha", 0.0, (0.0, np.inf), "linear"), "must be finite"),
        (lambda: Parameter("alpha", 0.0, (-1.0, 1.0)), "starts with regularizer"),
        (lambda: ParameterSpace([]), "at least one"),
        (lambda: ParameterSpace([Parameter("regularizer.a", 0.0, (-1.0, 1.0))] * 2), "twice"),
        (lambda: Tolerance(0.0), "positive"),
        (lambda: Dynamic(share=0.05), "0.05"),
        (lambda: Iterations(0), "at least one"),
    ],
)
def test_bad_settings_get_a_sentence(make, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()
