"""Conjugate gradients: finite termination, closed forms, weights, refusals, derivatives."""

from __future__ import annotations

import pytest
import torch

from wellposed import CompositionError, Problem, Stop, Unrolled, solve
from wellposed.space import norm
from wellposed_classical.iterations.conjugate_gradient import ConjugateGradient
from wellposed_classical.regularizers.huber import Huber
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.tikhonov import Tikhonov


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_ends_after_as_many_steps_as_unknowns(dense, normal, fidelity, dtype) -> None:
    matrix, y = normal(8, 4, dtype=dtype), normal(3, 8, dtype=dtype, seed=1)
    x = solve(Problem(dense(matrix), y, fidelity("l2")), ConjugateGradient(), stop=Stop(4)).x
    if dtype.is_complex:
        x = solve(Problem(dense(matrix), y, fidelity("l2")), ConjugateGradient(), stop=Stop(8)).x
    expected = torch.linalg.lstsq(matrix, y.mT).solution.mT
    torch.testing.assert_close(x[:, 0], expected, rtol=1e-8, atol=1e-8)


def test_stays_at_the_solution(dense, normal, fidelity) -> None:
    matrix, y = normal(8, 4), normal(3, 8, seed=1)
    x = solve(Problem(dense(matrix), y, fidelity("l2")), ConjugateGradient(), stop=Stop(100)).x
    torch.testing.assert_close(x[:, 0], torch.linalg.lstsq(matrix, y.mT).solution.mT, rtol=1e-10, atol=1e-10)
    zero = solve(Problem(dense(matrix), torch.zeros_like(y), fidelity("l2")), ConjugateGradient(), stop=Stop(5)).x
    assert bool((zero == 0).all())


def test_minimises_over_krylov_spaces(dense, normal, fidelity) -> None:
    matrix, y = normal(9, 6), normal(1, 9, seed=1)
    back = matrix.mT @ y[0]
    basis = torch.stack([back, matrix.mT @ (matrix @ back), torch.linalg.matrix_power(matrix.mT @ matrix, 2) @ back], 1)
    best = torch.linalg.lstsq(matrix @ basis, y[0]).solution
    x = solve(Problem(dense(matrix), y, fidelity("l2")), ConjugateGradient(), stop=Stop(3)).x
    torch.testing.assert_close(x[0, 0], basis @ best, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("operator_of_prior", ["identity", "gradient"])
def test_tikhonov_with_weights_per_bin(dense, normal, fidelity, operator_of_prior) -> None:
    matrix, y, weight = normal(5, 9), normal(2, 5, seed=1), normal(5, seed=2).abs() + 0.1
    prior = Tikhonov(operator_of_prior)
    problem = Problem(dense(matrix, (1, 3, 3)), y, fidelity("l2", weight=weight), 0.3 * prior)
    x = solve(problem, ConjugateGradient(), stop=Stop(60)).x
    unit = torch.eye(9, dtype=torch.float64).reshape(9, 1, 3, 3)
    normal_matrix = matrix.mT @ (weight[:, None] * matrix) + 0.3 * prior.grad(unit).reshape(9, 9)
    expected = torch.linalg.solve(normal_matrix, matrix.mT @ (weight * y).mT).mT
    torch.testing.assert_close(x.flatten(1), expected, rtol=1e-8, atol=1e-8)


def test_start_image_and_sums_of_quadratics(dense, normal, fidelity) -> None:
    problem = Problem(
        dense(normal(5, 9), (1, 3, 3)),
        normal(2, 5),
        fidelity("l2"),
        0.3 * Tikhonov("gradient") + 0.1 * Tikhonov(),
    )
    start = normal(2, 1, 3, 3, seed=7)
    x = solve(problem, ConjugateGradient(), stop=Stop(40), init=start).x
    assert float(norm(problem.gradient(x)).max()) < 1e-9


def test_what_is_not_quadratic_is_refused(dense, normal, fidelity) -> None:
    operator, y = dense(normal(6, 4)), normal(1, 6).abs()
    with pytest.raises(CompositionError, match="the fidelity must be a squared distance"):
        ConjugateGradient().check(Problem(operator, y, fidelity("kullback-leibler")))
    with pytest.raises(CompositionError, match="the regularizer must be quadratic"):
        ConjugateGradient().check(Problem(operator, y, fidelity("l2"), 0.1 * Huber(0.5)))
    with pytest.raises(CompositionError, match="with grad"):
        ConjugateGradient().check(Problem(operator, y, fidelity("l2"), L1Norm()))


def test_derivatives_of_few_steps_are_exact(dense, normal, fidelity) -> None:
    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    operator, y = dense(normal(6, 4)), normal(2, 6, seed=1).requires_grad_()

    def image(measurement, factor):
        regularizer = Tikhonov() * torch.nn.Parameter(factor) if not factor.requires_grad else Tikhonov() * factor
        problem = Problem(operator, measurement, fidelity("l2"), regularizer)
        return solve(problem, ConjugateGradient(), stop=Stop(3), gradient=Unrolled()).x

    assert torch.autograd.gradcheck(lambda v: image(v, weight.detach()), y, atol=1e-6)
