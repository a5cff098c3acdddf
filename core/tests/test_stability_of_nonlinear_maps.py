"""Worst-case errors of maps that are not linear, where a sign, a start and a number of steps make a difference."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from wellposed import Iterative, LinearOperator, Space, Stop
from wellposed.errors import InputError
from wellposed.solver import DirectSolver
from wellposed.space import norm
from wellposed.stability import differentiable, reconstruction, study, worst_error
from wellposed.stopping import FixedPointResidual
from wellposed.testing.doubles import DenseOperator, GradientStep, QuadraticFidelity

Y = torch.tensor([[0.5, -1.0, 0.25, 2.0]], dtype=torch.float64)


class Identity(LinearOperator):
    def __init__(self) -> None:
        super().__init__(Space((4,), torch.float64), Space((4,), torch.float64))

    def _forward(self, x: Tensor) -> Tensor:
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        return y


class Exponential(DirectSolver):
    """`x = exp(y)`: errors upwards count more than errors downwards."""

    def forward(self, y: Tensor, operator: LinearOperator) -> Tensor:  # type: ignore[override]
        return y.exp()


class Rounded(DirectSolver):
    """`x = exp(y)` to four digits: no derivative."""

    def forward(self, y: Tensor, operator: LinearOperator) -> Tensor:  # type: ignore[override]
        return torch.round(1e4 * y.detach().exp()) / 1e4


def mean(x: Tensor) -> dict[str, float]:
    return {"mean": float(x.mean())}


def relative_change(e: Tensor) -> float:
    return float(norm((Y + e).exp() - Y.exp()) / norm(Y.exp()))


def test_the_row_tells_what_the_worst_error_and_the_random_ones_do() -> None:
    rows, disturbed = study("exp", Exponential(), "s", Identity(), Y, [0.1], mean, steps=40, draws=3)
    (row,) = rows
    error = disturbed.error[None]
    assert float(norm(error)) == pytest.approx(0.1 * float(norm(Y)))
    assert row.worst == pytest.approx(relative_change(error), rel=1e-12)
    torch.testing.assert_close(disturbed.image, (Y + error).exp()[0])
    assert row.worst_gain == pytest.approx(10 * row.worst)
    assert row.random_gain == pytest.approx(10 * row.random)
    assert row.metrics_worst == {"mean": pytest.approx(float(disturbed.image.mean()))}
    assert (row.solver, row.sample, row.level, row.method) == ("exp", "s", 0.1, "gradient")
    # The optimum up to second order: all of the error on the largest entry, upwards.
    assert int(error.abs().argmax()) == 3
    assert error[0, 3] > 0.99 * 0.1 * float(norm(Y))
    # A bound on what errors of this size can do, and the mean of several draws lies below the worst.
    assert 0 < row.random < row.worst <= float(0.1 * norm(Y)) * 1.3


def test_random_errors_are_averaged_over_independent_draws() -> None:
    def random_of(draws: int) -> tuple[float, float]:
        row = study("exp", Exponential(), "s", Identity(), Y, [0.1], mean, steps=0, draws=draws)[0][0]
        return row.random, row.metrics_random["mean"]

    one, two, three = (random_of(draws) for draws in (1, 2, 3))
    second = [2 * b - a for a, b in zip(one, two, strict=True)]
    third = [3 * c - 2 * b for b, c in zip(two, three, strict=True)]
    for values in zip(one, second, third, strict=True):
        assert len({round(v, 9) for v in values}) == 3
        assert all(v > 0 for v in values)
        assert max(values) < 10 * min(values)


def test_a_level_starts_from_the_worst_error_of_the_one_below() -> None:
    """One ascent step for each level: only a start that is handed on makes the gain grow towards the norm."""
    operator = DenseOperator([[3.0, 0, 0, 0], [0, 2.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0.5]], (1, 2, 2))

    class Apply(DirectSolver):
        def forward(self, y: Tensor, operator: DenseOperator) -> Tensor:  # type: ignore[override]
            return (y @ operator.matrix.T).reshape(-1, 1, 2, 2)

    told: list[int] = []
    levels = [0.4, 0.1, 0.2, 0.3]
    rows, _ = study("m", Apply(), "s", operator, Y, levels, lambda x: {}, steps=1, observer=lambda: told.append(1))
    gains = [row.worst_gain for row in rows]
    assert [row.level for row in rows] == sorted(levels)
    assert all(later > earlier * (1 + 1e-6) for earlier, later in pairwise(gains))
    assert len(told) == 4


@pytest.mark.parametrize("steps", [0, 3])
def test_as_many_steps_as_asked_for(steps: int) -> None:
    calls: list[Tensor] = []

    def square(v: Tensor) -> Tensor:
        calls.append(v.detach())
        return v.square()

    radius = torch.tensor([2.0], dtype=torch.float64)
    start = torch.tensor([[1.0, 1.2, -0.4, 0.8]], dtype=torch.float64)
    start = 2 * start / norm(start)
    error, _ = worst_error(square, torch.zeros(1, 4, dtype=torch.float64), radius, steps, start)
    assert len(calls) == 1 + steps + 1  # without error; then one value, with its gradient, for each point
    # `f(e) = ½Σe_i⁴` has gradient `2e³`: every step cubes the entries and scales to the ball.
    for _ in range(steps):
        start = 2 * start**3 / norm(start**3)
    torch.testing.assert_close(error, start)


def test_each_sample_keeps_its_own_best_error() -> None:
    """One sample whose ascent only loses (a fold back), one that gains: the best is chosen for each."""
    y = torch.zeros(2, 2, dtype=torch.float64)
    weight = torch.tensor([[1.0], [0.0]], dtype=torch.float64)

    def folded(v: Tensor) -> Tensor:
        return weight * torch.sin(3 * v) + (1 - weight) * v * torch.tensor([2.0, 1.0], dtype=torch.float64)

    radius = torch.full((2,), 0.6, dtype=torch.float64)
    start = torch.tensor([[0.6, 0.6], [0.1, 0.9]], dtype=torch.float64)
    start = start * (0.6 / norm(start))[:, None]
    before = norm(folded(start))
    error, _ = worst_error(folded, y, radius, 30, start)
    after = norm(folded(error))
    assert bool((after >= before - 1e-12).all())
    assert float(after[1]) == pytest.approx(2 * 0.6, rel=1e-6)
    alone, _ = worst_error(lambda v: torch.sin(3 * v), y[:1], radius[:1], 30, start[:1])
    torch.testing.assert_close(error[:1], alone)


def test_a_solver_without_derivative_is_searched_and_says_so() -> None:
    rows, disturbed = study("r", Rounded(), "s", Identity(), Y, [0.1], mean, steps=40)
    assert rows[0].method == "search"
    assert rows[0].worst > 0.97 * relative_change(torch.tensor([[0, 0, 0, 0.1 * float(norm(Y))]]))
    assert float(disturbed.error.norm()) == pytest.approx(0.1 * float(norm(Y)))


def descent(stop: Stop) -> Iterative:
    return Iterative(GradientStep(), QuadraticFidelity(), stop=stop)


def test_an_iterative_solver_is_differentiated_through_as_many_steps_as_its_slowest_sample_takes() -> None:
    operator = DenseOperator([[1.0, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0.4, 0], [0, 0, 0, 0.3]], (1, 2, 2))
    y = torch.tensor([[1.0, 0, 0, 0], [1.0, 2.0, -1.0, 3.0]], dtype=torch.float64)
    solver = descent(Stop(400, [FixedPointResidual(1e-6)]))
    taken = solver.solve(solver.pose(y, operator)).iterations
    assert taken[0] < taken[1] / 2
    taped = differentiable(solver, operator, y)
    point = y.clone().requires_grad_()
    image = taped(point)
    torch.testing.assert_close(image[1], reconstruction(solver, operator)(y)[1], rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(image[1].sum(), point)
    assert bool((gradient[1] != 0).all())
    assert not bool(gradient[0].any())
    assert not reconstruction(solver, operator)(point).requires_grad


def test_at_most_some_hundred_steps_are_differentiated_and_at_least_one() -> None:
    operator = DenseOperator((0.01 * torch.eye(4)).tolist(), (1, 2, 2))
    slow, none = descent(Stop(300)), descent(Stop(0))
    long, whole = differentiable(slow, operator, Y)(Y), descent(Stop(200))(Y, operator)
    torch.testing.assert_close(long, whole, rtol=1e-14, atol=0)
    torch.testing.assert_close(differentiable(none, operator, Y)(Y), descent(Stop(1))(Y, operator))


@pytest.mark.parametrize("levels", [[], [0.1, 0.0], [-1.0]])
def test_levels_are_positive_and_at_least_one(levels: list[float]) -> None:
    with pytest.raises(InputError, match="levels of error must be positive"):
        study("e", Exponential(), "s", Identity(), Y, levels, mean)
