"""Descent in latent vectors: each vector of a batch by the textbook's formulas, whatever the others do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed.errors import CompositionError
from wellposed.fidelity import Fidelity
from wellposed.problem import Problem
from wellposed.space import inner
from wellposed.testing.doubles import DenseOperator, QuadraticFidelity
from wellposed_generative.iterations.quadratic import data_curvature, data_slope
from wellposed_generative.latent import (
    backtrack,
    direction,
    first_metric,
    minimise,
    updated_metric,
    value_and_gradient,
)


def vectors(seed: int, count: int = 4, size: int = 3) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bfgs(metric: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """Nocedal and Wright 2006, eq. (6.17), of one pair."""
    rho, eye = 1 / (s @ y), torch.eye(len(s), dtype=s.dtype)
    return (eye - rho * torch.outer(s, y)) @ metric @ (eye - rho * torch.outer(y, s)) + rho * torch.outer(s, s)


def test_metrics_are_updated_vector_by_vector() -> None:
    """One fresh vector whose identity is scaled first, two old ones, one without curvature that stays."""
    metric = first_metric(vectors(0))
    other = vectors(1, 4 * 3).reshape(4, 3, 3)
    other = other @ other.mT + torch.eye(3, dtype=torch.float64)
    metric[1:] = other[1:]
    metric[2] = torch.eye(3, dtype=torch.float64)
    metric[2, 0, 1] = 1e-3  # nearly the identity, and not fresh
    s = vectors(2)
    y = s + 0.3 * vectors(3)
    y[3] = -s[3]
    found = updated_metric(metric, s, y)
    scale = (s[0] @ y[0]) / (y[0] @ y[0])
    torch.testing.assert_close(found[0], bfgs(scale * metric[0], s[0], y[0]))
    for i in (1, 2):
        torch.testing.assert_close(found[i], bfgs(metric[i], s[i], y[i]))
        torch.testing.assert_close(found[i] @ y[i], s[i])  # the secant equation
    assert torch.equal(found[3], metric[3])


def test_curvature_that_rounding_could_make_is_not_used() -> None:
    metric = first_metric(vectors(0, 2))
    s = torch.tensor([[1.0, 0.0, 0.0]] * 2, dtype=torch.float64)
    y = torch.tensor([[1e-9, 1.0, 0.0], [1e-11, 1.0, 0.0]], dtype=torch.float64)
    found = updated_metric(metric, s, y)
    assert not torch.equal(found[0], metric[0])
    assert torch.equal(found[1], metric[1])


def test_no_direction_is_longer_than_the_prior_is_wide() -> None:
    metric = 2 * first_metric(vectors(0))
    gradient = torch.tensor([[0.1, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    found = direction(metric, gradient)
    root = 3**0.5
    torch.testing.assert_close(found[0], -2 * gradient[0])
    torch.testing.assert_close(found[1], torch.tensor([-root, 0.0, 0.0], dtype=torch.float64))
    assert not found[2].any()
    torch.testing.assert_close(found[3], -gradient[3])


def test_the_first_good_length_of_each_vector_is_taken() -> None:
    """`½‖z‖²` from 1 along −1, −3, −20 and uphill: whole, a quarter, a sixteenth, and no step."""
    z = torch.ones(4, 1, dtype=torch.float64)
    step = torch.tensor([[-1.0], [-3.0], [-20.0], [1.0]], dtype=torch.float64)
    value = z.square().sum(1) / 2
    tried: list[Tensor] = []

    def attempt(p: Tensor) -> tuple[Tensor, Tensor]:
        tried.append(p)
        return p.square().sum(1) / 2, 10 * p

    found, carried, after, moved = backtrack(attempt, z, 10 * z, value, step, inner(step, z))
    expected = torch.tensor([[0.0], [1 - 0.75], [1 - 20 / 16], [1.0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(carried, 10 * expected)
    torch.testing.assert_close(after, expected.square().sum(1) / 2)
    assert moved.tolist() == [True, True, True, False]
    assert len(tried) == 3


def test_a_vector_for_which_nothing_is_better_stays() -> None:
    z = torch.ones(2, 1, dtype=torch.float64)
    step = -z
    slope = torch.tensor([-1.0, -1.0], dtype=torch.float64)
    calls: list[Tensor] = []

    def attempt(p: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(p)
        return torch.stack([p[0, 0] ** 2 / 2, torch.tensor(7.0, dtype=torch.float64)]), p

    value = torch.tensor([0.5, 0.5], dtype=torch.float64)
    found, _, after, moved = backtrack(attempt, z, z, value, step, slope)
    assert moved.tolist() == [True, False]
    assert found.tolist() == [[0.0], [1.0]]
    assert after.tolist() == [0.0, 0.5]
    assert len(calls) == 16


def test_sufficient_decrease_is_armijo_s() -> None:
    """A step that gains a ten-thousandth of what the slope promises is just enough; half of that is not."""
    z, step = torch.ones(2, 1, dtype=torch.float64), -torch.ones(2, 1, dtype=torch.float64)
    gains = torch.tensor([1.01e-4, 0.5e-4], dtype=torch.float64)
    value = torch.ones(2, dtype=torch.float64)

    def attempt(p: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where((p[:, 0] - 0.0).abs() < 1e-9, 1 - gains, 2.0), p

    _, _, after, moved = backtrack(attempt, z, z, value, step, -value)
    assert moved.tolist() == [True, False]
    assert after[0] == 1 - gains[0]


def test_unlike_functions_are_minimised_together() -> None:
    """A well, a stretched one, one that begins at its minimum, and Rosenbrock's valley."""
    start = torch.tensor([[2.0, -1.0], [2.0, -1.0], [0.0, 0.0], [-1.2, 1.0]], dtype=torch.float64)

    def function(z: Tensor) -> Tensor:
        x, y = z[:, 0], z[:, 1]
        return torch.stack(
            [
                (x[0] - 1) ** 2 + y[0] ** 2,
                (x[1] - 1) ** 2 + 1e3 * (y[1] - 2) ** 2,
                x[2] ** 2 + y[2] ** 2,
                (1 - x[3]) ** 2 + 100 * (y[3] - x[3] ** 2) ** 2,
            ]
        )

    found = minimise(function, start, 200)
    expected = torch.tensor([[1.0, 0.0], [1.0, 2.0], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(minimise(function, start, 0), start)


def posed(weights: Tensor | float, lowest: Tensor | float | None = None) -> Problem:
    class Weighted(QuadraticFidelity):
        def smoothness(self, y: Tensor) -> Tensor | float:
            return weights

        def strong_convexity(self, y: Tensor) -> Tensor | float:
            return weights if lowest is None else lowest

        def gradient(self, v: Tensor, y: Tensor) -> Tensor:
            return torch.as_tensor(weights).reshape(-1, 1) * (v - y)

    y = torch.arange(6, dtype=torch.float64).reshape(3, 2)
    return Problem(DenseOperator([[1.0, 0.0], [0.0, 1.0]], (2,)), y, Weighted())


def test_the_curvature_of_a_squared_distance() -> None:
    each = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert data_curvature("X", posed(0.7)) == 0.7
    assert data_curvature("X", posed(each)) is each
    torch.testing.assert_close(data_slope(posed(each)), -each[:, None] * posed(each).measurement)


@pytest.mark.parametrize("lowest", [torch.tensor([1.0, 2.0, 2.9]), torch.tensor([0.0, 2.0, 3.0]), 0.5])
def test_one_sample_with_several_weights_is_enough_to_refuse(lowest: Tensor | float) -> None:
    with pytest.raises(CompositionError, match="one weight"):
        data_curvature("X", posed(torch.tensor([1.0, 2.0, 3.0]), lowest))

    class Rough(QuadraticFidelity):
        def smoothness(self, y: Tensor) -> None:
            return None

    class OfCounts(QuadraticFidelity):
        smooth_everywhere = False

    problem = posed(1.0)
    fidelities: tuple[Fidelity, ...] = (Rough(), OfCounts())
    for fidelity in fidelities:
        with pytest.raises(CompositionError, match=f"{type(fidelity).__name__} is none here"):
            data_curvature("X", Problem(problem.operator, problem.measurement, fidelity))


def test_values_and_gradients_of_each_vector_are_its_own() -> None:
    z = vectors(4)
    value, gradient = value_and_gradient(lambda p: p.square().sum(1) * torch.arange(1.0, 5.0), z)
    torch.testing.assert_close(value, z.square().sum(1) * torch.arange(1.0, 5.0))
    torch.testing.assert_close(gradient, 2 * z * torch.arange(1.0, 5.0)[:, None])
    assert not value.requires_grad
    assert not gradient.requires_grad
    assert not z.requires_grad


def test_descent_rests_where_the_gradient_is_rounding_of_a_large_value() -> None:
    """The value is 1e12: a gradient of 1e-3 is rounding of it, one of 1e3 is none."""
    calls = 0

    def large(z: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return 1e12 + 0.5 * z.square().sum(1)

    start = torch.full((1, 2), 1e-3, dtype=torch.float64)
    assert torch.equal(minimise(large, start, 5), start)
    assert calls == 1
    far = torch.full((1, 2), 1e3, dtype=torch.float64)
    assert float(minimise(large, far, 5).abs().max()) < 999.0
