"""What every linear operator promises, against dense matrices in float64."""

from __future__ import annotations

import pytest
import torch

from wellposed.errors import ShapeError
from wellposed.space import inner, norm


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 3])
def test_dot_product(operator, draw, dtype, batch):
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    operator = operator.to(dtype)
    x, y = draw(operator.domain, batch, 1, dtype), draw(operator.range, batch, 2, dtype)
    ax, aty = operator(x), operator.adjoint(y)
    assert ax.shape == (batch, *operator.range.shape)
    assert aty.shape == x.shape
    assert ax.dtype.to_real() == dtype
    assert aty.dtype == x.dtype
    difference = (inner(ax, y) - inner(x, aty)).abs()
    assert (difference <= tolerance * (norm(ax) * norm(y) + norm(x) * norm(aty))).all()


def test_layout_does_not_matter_and_inputs_stay(operator, draw):
    x, y = draw(operator.domain, 3, 1), draw(operator.range, 3, 2)
    for apply, argument in ((operator, x), (operator.adjoint, y), (operator.gram, x), (operator.pinv, y)):
        before = argument.clone()
        strided = torch.stack([argument, argument], -1)[..., 0].flip(0)
        torch.testing.assert_close(apply(strided), apply(argument.flip(0)), rtol=1e-11, atol=1e-11)
        assert torch.equal(argument, before)


def test_samples_do_not_mix(operator, draw):
    x = draw(operator.domain, 3, 1)
    torch.testing.assert_close(operator(x)[1:2], operator(x[1:2]), rtol=1e-12, atol=1e-12)
    y = draw(operator.range, 3, 2)
    torch.testing.assert_close(operator.adjoint(y)[1:2], operator.adjoint(y[1:2]), rtol=1e-12, atol=1e-12)


def test_adjoint_is_the_transpose(operator, dense):
    torch.testing.assert_close(dense(operator.T), dense(operator).T, rtol=1e-12, atol=1e-12)


def test_gram(operator, dense, draw, real):
    matrix = dense(operator)
    x = draw(operator.domain, 3)
    torch.testing.assert_close(real(operator.gram(x)), real(x) @ matrix.T @ matrix, rtol=1e-11, atol=1e-11)


def test_norm(operator, dense):
    exact = float(torch.linalg.matrix_norm(dense(operator), 2))
    assert exact * (1 - 1e-12) <= operator.norm() <= exact * 1.002


def test_pinv(case, dense, draw, real):
    operator, closed = case
    y = draw(operator.range, 3)
    expected = real(y) @ torch.linalg.pinv(dense(operator), rtol=1e-12).T
    tolerance = 1e-10 if closed else 1e-6
    torch.testing.assert_close(real(operator.pinv(y)), expected, rtol=tolerance, atol=tolerance)


def test_solve_normal(case, dense, draw, real):
    operator, closed = case
    matrix, rhs = dense(operator), draw(operator.domain, 3)
    tolerance = 1e-10 if closed else 1e-8
    shifts = torch.tensor([0.3, 1e-2, 2.0], dtype=torch.float64)
    found = real(operator.solve_normal(rhs, shifts))
    for i, shift in enumerate(shifts):
        system = matrix.T @ matrix + shift * torch.eye(matrix.shape[1], dtype=torch.float64)
        expected = torch.linalg.solve(system, real(rhs)[i])
        torch.testing.assert_close(found[i], expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(real(operator.solve_normal(rhs, 0.3))[0], found[0], rtol=1e-9, atol=1e-9)


def test_solve_normal_without_shift_is_the_pseudo_inverse(case, dense, draw, real):
    operator, closed = case
    if not closed:
        pytest.skip("iterative: solved for consistent right-hand sides only")
    matrix, rhs = dense(operator), draw(operator.domain, 2)
    expected = real(rhs) @ torch.linalg.pinv(matrix.T @ matrix, rtol=1e-12)
    found = real(operator.solve_normal(rhs, torch.zeros(2, dtype=torch.float64)))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_gradients(operator, draw):
    x = draw(operator.domain, 1, 1).requires_grad_()
    y = draw(operator.range, 1, 2).requires_grad_()
    shift = torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    for function, arguments in (
        (operator, (x,)),
        (operator.adjoint, (y,)),
        (operator.gram, (x,)),
        (operator.solve_normal, (x, shift)),
    ):
        assert torch.autograd.gradcheck(function, arguments, atol=1e-6, fast_mode=True)
    assert torch.autograd.gradgradcheck(operator, (x,), fast_mode=True)


def test_a_second_round_trip_through_single_precision_loses_nothing(operator, draw):
    x = draw(operator.domain, 1)
    before = operator(x)
    assert torch.equal(operator.float().double()(x), before)


def test_wrong_shapes_are_told(operator, draw):
    x = draw(operator.domain, 1)
    with pytest.raises(ShapeError, match="takes images of shape"):
        operator(x[0])
    with pytest.raises(ShapeError, match="takes measurements of shape"):
        operator.adjoint(draw(operator.range, 1)[..., None])
