"""Norms, conjugate gradients and differentiable normal equations, against dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wellposed import InputError, LinearOperator, Space
from wellposed import spectral_norm as spectral_norm_module
from wellposed.linear_algebra import conjugate_gradient, least_squares
from wellposed.space import norm


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Dense(LinearOperator):
    """A matrix, by matrix–vector products alone."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(Space((matrix.shape[1],), matrix.dtype), Space((matrix.shape[0],), matrix.dtype))
        self.register_buffer("rows", torch.arange(len(matrix)))  # an integer buffer comes first
        if isinstance(matrix, nn.Parameter):
            self.matrix = matrix
        else:
            self.register_buffer("matrix", matrix)

    def _forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.mT

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix.conj()


def test_norm_is_computed_once_unless_the_operator_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Dense(normal(4, 3))
    first = operator.norm()
    with monkeypatch.context() as patched:
        patched.setattr(spectral_norm_module, "spectral_norm", lambda operator: pytest.fail("computed again"))
        assert operator.norm() == first
    operator.matrix = 2 * operator.matrix
    assert operator.norm() == pytest.approx(2 * first, rel=1e-6)
    learned = Dense(nn.Parameter(normal(4, 3)))
    before = learned.norm()
    with torch.no_grad():
        learned.matrix.mul_(2.0)
    assert learned.norm() == pytest.approx(2 * before, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_conjugate_gradients_solve_each_sample_to_its_own_tolerance(dtype: torch.dtype) -> None:
    factor = normal(20, 20, dtype=dtype)
    matrix = factor.mH @ factor + torch.eye(20, dtype=dtype)
    rhs = normal(4, 20, seed=1, dtype=dtype) * torch.tensor([1e-8, 1.0, 1e8, 0.0], dtype=dtype)[:, None]
    x = conjugate_gradient(lambda v: v @ matrix.mT, rhs)
    expected = torch.linalg.solve(matrix, rhs.mT).mT
    scale = norm(expected).clamp_min(1e-300)
    assert float((norm(x - expected) / scale).max()) < 1e-11
    assert bool((x[3] == 0).all())


def test_conjugate_gradients_start_from_a_given_image_and_do_not_change_it() -> None:
    factor = normal(8, 8)
    matrix = factor.mT @ factor + torch.eye(8, dtype=torch.float64)
    rhs, start = normal(2, 8, seed=1), normal(2, 8, seed=2)
    kept = start.clone()
    exact = torch.linalg.solve(matrix, rhs.mT).mT
    torch.testing.assert_close(conjugate_gradient(lambda v: v @ matrix, rhs, start=start), exact, rtol=1e-9, atol=1e-9)
    assert torch.equal(start, kept)
    one = conjugate_gradient(lambda v: v @ matrix, rhs, start=exact, limit=1)
    torch.testing.assert_close(one, exact, rtol=1e-9, atol=1e-9)


def test_conjugate_gradients_stop_at_the_asked_for_residual() -> None:
    matrix = torch.diag(torch.linspace(0.01, 1, 60, dtype=torch.float64))
    rhs = normal(3, 60)
    calls = 0

    def apply(v: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return v @ matrix

    x = conjugate_gradient(apply, rhs, tolerance=1e-2)
    assert bool((norm(x @ matrix - rhs) <= 1e-2 * norm(rhs)).all())
    loose = calls
    conjugate_gradient(apply, rhs, tolerance=1e-10)
    assert calls - loose > 1.5 * loose


def test_derivatives_of_conjugate_gradients_are_finite_where_samples_end_early() -> None:
    matrix = torch.eye(3, dtype=torch.float64)
    rhs = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    x = conjugate_gradient(lambda v: v @ matrix, rhs)
    (gradient,) = torch.autograd.grad(x.sum(), rhs)
    torch.testing.assert_close(gradient[0], torch.ones(3, dtype=torch.float64))
    assert bool(torch.isfinite(gradient).all())


def test_least_squares_is_the_solution_of_least_norm() -> None:
    for shape in ((9, 5), (5, 9)):
        matrix, y = normal(*shape), normal(3, shape[0], seed=1)
        x = least_squares(Dense(matrix), y)
        torch.testing.assert_close(x, (torch.linalg.pinv(matrix) @ y.mT).mT, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("per_sample", [False, True])
def test_solve_normal_and_its_derivatives(dtype: torch.dtype, per_sample: bool) -> None:
    operator = Dense(normal(6, 4, dtype=dtype))
    rhs = normal(2, 4, seed=1, dtype=dtype).requires_grad_()
    shift = torch.tensor([0.7, 0.3] if per_sample else 0.7, dtype=torch.float64, requires_grad=True)
    x = operator.solve_normal(rhs, shift)
    values = shift.detach().expand(2)
    gram = operator.matrix.mH @ operator.matrix
    for i in range(2):
        shifted = gram + values[i] * torch.eye(4, dtype=dtype)
        torch.testing.assert_close(x[i], torch.linalg.solve(shifted, rhs[i]), rtol=1e-9, atol=1e-9)
    assert torch.autograd.gradcheck(operator.solve_normal, (rhs, shift), atol=1e-5)
    assert torch.autograd.gradgradcheck(operator.solve_normal, (rhs, shift), atol=1e-5)


def test_solve_normal_with_one_shift_in_a_vector() -> None:
    operator = Dense(normal(6, 4))
    shift = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    operator.solve_normal(normal(3, 4, seed=1), shift).sum().backward()
    assert shift.grad is not None
    assert shift.grad.shape == (1,)


def test_solve_normal_reaches_learned_operators() -> None:
    matrix = nn.Parameter(normal(5, 3))
    rhs = normal(2, 3, seed=1)
    Dense(matrix).solve_normal(rhs, 0.4).square().sum().backward()
    given = matrix.grad
    other = matrix.detach().clone().requires_grad_()
    shifted = other.mT @ other + 0.4 * torch.eye(3, dtype=torch.float64)
    (expected,) = torch.autograd.grad(torch.linalg.solve(shifted, rhs.mT).square().sum(), other)
    torch.testing.assert_close(given, expected, rtol=1e-6, atol=1e-8)


def test_negative_shifts_are_refused() -> None:
    with pytest.raises(InputError, match="shift ≥ 0"):
        Dense(normal(5, 3)).solve_normal(normal(2, 3), -1.0)


def test_the_norm_follows_weights_that_are_loaded_later() -> None:
    operator = Dense(nn.Parameter(torch.eye(4, dtype=torch.float64), requires_grad=False))
    assert operator.norm() == pytest.approx(1.0, rel=2e-3)
    operator.load_state_dict({**operator.state_dict(), "matrix": 10 * torch.eye(4, dtype=torch.float64)})
    assert operator.norm() == pytest.approx(10.0, rel=2e-3)


def test_conjugate_gradients_follow_no_direction_that_is_flat_but_for_rounding() -> None:
    rows = torch.randn((9, 25), generator=torch.Generator().manual_seed(0))
    rhs = 1e-7 * torch.randn((3, 25), generator=torch.Generator().manual_seed(1))  # mostly outside of the range
    x = conjugate_gradient(lambda u: u @ rows.T @ rows, rhs, tolerance=0.05, limit=30)
    assert float(x.norm()) < 1.0
