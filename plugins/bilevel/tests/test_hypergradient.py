"""Implicit gradients against finite differences of exact objectives, and against a closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from bilevel_doubles import Quadratic, Smoothed, denoiser, signals

from wellposed_bilevel.conditioning import ConditionPenalty, condition_number
from wellposed_bilevel.hypergradient import hypergradient
from wellposed_bilevel.lower_level import Demand
from wellposed_bilevel.parameters import Parameter, ParameterSpace
from wellposed_bilevel.trainers.implicit import ImplicitGradient
from wellposed_bilevel.upper_level import UpperLevel

THREE = [
    Parameter("regularizer.alpha", -0.5, (-4.0, 3.0)),
    Parameter("regularizer.nu", -1.0, (-4.0, 0.0)),
    Parameter("regularizer.xi", -1.0, (-4.0, 0.0)),
]


@pytest.mark.parametrize("start", [[0.5, 0.7, 0.6], [0.5, 0.85, 0.0], [0.55, 0.75, 1.0]])
def test_the_gradient_is_that_of_finite_differences(start: list[float]) -> None:
    """Also at the faces of the box, where differences in θ are one-sided inside the gradient."""
    space = ParameterSpace(THREE)
    problem = UpperLevel.pose(denoiser(Smoothed(), 100_000), signals(2, 24), space, ConditionPenalty(1e-5))
    point = np.array(start)
    _, x = problem.evaluate(0, point, Demand(1e-12), None)
    found = hypergradient(problem, point, x, 1e-13, 1000)
    assert found.residual <= 1e-10

    def value(axis: int, offset: float) -> float:
        moved = point.copy()
        moved[axis] += offset
        return problem.evaluate(0, moved, Demand(1e-12), x)[0].value

    h = 1e-3
    for axis in range(3):
        wide = [value(axis, k * h) for k in (-3, -2, -1, 1, 2, 3)]
        expected = (-wide[0] + 9 * wide[1] - 45 * wide[2] + 45 * wide[3] - 9 * wide[4] + wide[5]) / (60 * h)
        assert found.gradient[axis] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_gradient_of_a_quadratic_problem_has_its_closed_form() -> None:
    """`x = y/(1+w)`: `df/dθ = 2<x − truth, −y/(1+w)²>·w·ln 10·width`."""
    data = signals(4, 32)
    space = ParameterSpace([Parameter("regularizer.weight", 0.0, (-1.0, 1.0))])
    problem = UpperLevel.pose(denoiser(Quadratic()), data, space)
    y, truth = problem.measurement, problem.truth
    x = y / 2
    expected = float(2 * ((x - truth) * (-y / 4)).sum()) * np.log(10) * 2
    found = hypergradient(problem, space.start, x, 1e-13, 100)
    assert found.gradient[0] == pytest.approx(expected, rel=1e-9)


def test_lbfgsb_finds_the_optimum_of_a_quadratic_problem(tmp_path: Path) -> None:
    data = signals(4, 32)
    trainer = ImplicitGradient([Parameter("regularizer.weight", 1.5, (-3.0, 3.0))], tolerance=1e-9)
    fitted = trainer.fit(denoiser(Quadratic()), data, tmp_path)
    samples = [data[i] for i in range(len(data))]
    y, truth = torch.stack([s.measurement for s in samples]), torch.stack([s.truth for s in samples])
    factor = float((y * truth).sum() / (y * y).sum())
    assert fitted.metrics["regularizer.weight"] == pytest.approx(1 / factor - 1, rel=1e-4)
    assert fitted.steps < 30


def test_the_condition_number_of_denoising_is_that_of_the_formula() -> None:
    problem = UpperLevel.pose(denoiser(Smoothed()), signals(2, 40), ParameterSpace(THREE))
    alpha, nu, xi = problem.space.values(problem.space.start).values()
    expected = (1 + 4 * alpha / nu + xi) / (1 + xi)
    assert condition_number(problem.problem(problem.space.start)) == pytest.approx(expected, rel=1e-8)
