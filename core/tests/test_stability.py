"""Worst-case errors: against the singular value decomposition, and where there is no derivative."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import LinearOperator, Space
from wellposed.errors import InputError
from wellposed.solver import DirectSolver
from wellposed.space import norm
from wellposed.stability import study, worst_error

SINGULAR = torch.tensor([3.0, 1.0, 0.8, 0.5, 0.2, 0.1], dtype=torch.float64)


@pytest.fixture
def matrix() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    return left @ torch.diag(SINGULAR) @ right


def test_of_a_linear_map_it_is_the_first_singular_vector(matrix: Tensor) -> None:
    y, radius = torch.randn(3, 6, dtype=torch.float64), torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    error, method = worst_error(lambda v: v @ matrix.T, y, radius, steps=20)
    assert method == "gradient"
    torch.testing.assert_close(norm(error), radius)
    torch.testing.assert_close(norm(error @ matrix.T), SINGULAR[0] * radius, rtol=1e-6, atol=0)


def test_complex_measurements(matrix: Tensor) -> None:
    turned = matrix * torch.exp(torch.tensor(0.7j, dtype=torch.complex128))
    y = torch.randn(1, 6, dtype=torch.complex128)
    error, _ = worst_error(lambda v: v @ turned.T, y, torch.ones(1, dtype=torch.float64), steps=25)
    assert float(norm(error @ turned.T)) == pytest.approx(3.0, rel=1e-6)


def test_the_ball_is_never_left_and_the_best_is_kept() -> None:
    y = torch.zeros(1, 5, dtype=torch.float64)
    radius = torch.tensor([2.0], dtype=torch.float64)
    values = []
    for steps in (0, 2, 10):
        error, _ = worst_error(lambda v: torch.sin(3 * v), y, radius, steps=steps)
        assert float(norm(error)) <= 2.0 * (1 + 1e-9)
        values.append(float(norm(torch.sin(3 * error))))
    assert values == sorted(values)


def test_without_derivative_it_searches(matrix: Tensor) -> None:
    def rounded(v: Tensor) -> Tensor:
        return torch.round(1e4 * (v @ matrix.T).detach()) / 1e4

    y, radius = torch.randn(1, 6, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    error, method = worst_error(rounded, y, radius, steps=40)
    assert method == "search"
    assert float(norm(rounded(y + error) - rounded(y))) > 0.95 * 3.0


def test_a_constant_is_stable() -> None:
    y = torch.ones(1, 4)
    error, _ = worst_error(lambda v: 0 * v, y, torch.ones(1))
    assert bool(torch.isfinite(error).all())


class Dense(LinearOperator):
    def __init__(self, matrix: Tensor) -> None:
        super().__init__(Space((6,), torch.float64), Space((6,), torch.float64))
        self.register_buffer("matrix", matrix)

    matrix: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.T

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix


class Inverse(DirectSolver):
    """x = A⁻¹ y."""

    def forward(self, y: Tensor, operator: LinearOperator) -> Tensor:  # type: ignore[override]
        return torch.linalg.solve(operator.matrix, y.T).T


def test_the_gain_of_an_inverse_is_the_condition_along_the_data(matrix: Tensor) -> None:
    operator = Dense(matrix)
    x = torch.randn(1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = operator(x)
    rows, worst = study("inverse", Inverse(), "s", operator, y, [0.1, 0.01], lambda v: {}, steps=60)
    assert [row.level for row in rows] == [0.01, 0.1]
    expected = float(norm(y) / norm(x)) / 0.1  # relative amplification: (1/σ_min)·‖y‖/‖x‖
    for row in rows:
        assert row.worst_gain == pytest.approx(expected, rel=1e-4)
        assert row.random < row.worst
    assert worst.error.shape == (6,)


def test_levels_must_be_positive(matrix: Tensor) -> None:
    operator = Dense(matrix)
    with pytest.raises(InputError, match="positive"):
        study("i", Inverse(), "s", operator, torch.ones(1, 6, dtype=torch.float64), [0.0], lambda v: {})
