"""Gradient descent: closed forms, the linear rate of theory, and certificates that certify."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from wellposed import CompositionError, InputError, Problem, Stop, Verdict, solve
from wellposed.space import norm
from wellposed.stopping import CertifiedAccuracy
from wellposed.testing.doubles import SaturatingOperator
from wellposed_classical.iterations.fista import FISTA
from wellposed_classical.iterations.gradient_descent import GradientDescent
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.smoothed_total_variation import SmoothedTotalVariation
from wellposed_classical.regularizers.tikhonov import Tikhonov


def ridge_solution(operator, y, alpha):
    matrix = operator.matrix
    normal = matrix.mT @ matrix + alpha * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    return torch.linalg.solve(normal, matrix.mT @ y.mT).mT.reshape(len(y), *operator.domain.shape)


def test_reaches_the_ridge_solution(dense, normal, fidelity) -> None:
    operator, y = dense(normal(9, 6)), normal(3, 9, seed=1)
    problem = Problem(operator, y, fidelity("l2"), 0.5 * Tikhonov())
    solution = solve(problem, GradientDescent(), stop=Stop(800))
    torch.testing.assert_close(solution.x, ridge_solution(operator, y, 0.5), rtol=1e-9, atol=1e-9)


def test_converges_at_exactly_the_rate_of_theory_on_the_worst_quadratic(dense, fidelity) -> None:
    # Both extreme eigenvalues are excited; L is exact here, so the factor is (L − μ)/(L + μ).
    operator = dense(torch.diag(torch.tensor([1.0, 0.3], dtype=torch.float64)))
    operator._norm = lambda: 1.0
    y = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    problem = Problem(operator, y, fidelity("l2"), 0.05 * Tikhonov())
    exact = ridge_solution(operator, y, 0.05)
    iteration = GradientDescent(step_size=2 / (1.05 + 0.14))
    state = iteration.init(problem)
    distances = []
    for _ in range(30):
        state = iteration.step(problem, state)
        distances.append(float(norm(state.x - exact)))
    rate = (distances[-1] / distances[9]) ** (1 / 20)
    assert rate == pytest.approx((1.05 - 0.14) / (1.05 + 0.14), rel=1e-6)


def test_default_step_contracts_as_theory_says(dense, normal, fidelity) -> None:
    for seed in range(5):
        operator, y = dense(normal(8, 5, seed=seed)), normal(2, 8, seed=seed + 50)
        problem = Problem(operator, y, fidelity("l2"), 0.3 * Tikhonov())
        exact = ridge_solution(operator, y, 0.3)
        iteration = GradientDescent()
        state = iteration.init(problem)
        smoothness, convexity = operator.norm() ** 2 + 0.3, 0.3
        factor = (smoothness - convexity) / (smoothness + convexity)
        for _ in range(20):
            before = norm(state.x - exact)
            state = iteration.step(problem, state)
            assert bool((norm(state.x - exact) <= factor * before * (1 + 1e-9)).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_certified_bound_holds_in_hundreds_of_random_solves(dense, normal, fidelity, dtype) -> None:
    checked = 0
    for seed in range(6):
        operator = dense(normal(12, 9, seed=seed) * 3.0 ** (seed % 3 - 1), (1, 3, 3))
        y = operator(normal(60, 1, 3, 3, seed=seed + 1)) + 0.1 * normal(60, 12, seed=seed + 2)
        regularizer = (seed % 2 + 1.0) * SmoothedTotalVariation(nu=0.2, xi=0.2)
        problem = Problem(operator, y, fidelity("l2"), regularizer)
        exact = solve(problem, FISTA(), stop=Stop(3000, [CertifiedAccuracy(1e-9)], every=50)).require()
        single = Problem(dense(operator.matrix.to(dtype), (1, 3, 3)), y.to(dtype), fidelity("l2"), regularizer)
        iteration = GradientDescent()
        state = iteration.init(single)
        for count in range(30):
            state = iteration.step(single, state)
            if count % 5 == 0:
                bound = iteration.error_bound(single, state)
                assert bool((bound >= norm(state.x - exact) - 1e-8).all())
                checked += len(bound)
    assert checked >= 2000


def test_certificate_is_free_after_a_step_and_recomputed_after_mixing(dense, normal, fidelity) -> None:
    operator = dense(normal(7, 4))
    problem = Problem(operator, normal(2, 7), fidelity("l2"), Tikhonov())
    iteration = GradientDescent()
    first = iteration.step(problem, iteration.init(problem))
    assert bool(torch.isfinite(first.bound[0]).all())
    mixed = first.unflatten(first.flatten() + torch.tensor([[0.0], [3.0]], dtype=torch.float64))
    assert torch.isnan(mixed.bound[0]).tolist() == [False, True]
    exact = ridge_solution(operator, problem.measurement, 1.0)
    assert bool((iteration.error_bound(problem, mixed) >= norm(mixed.x - exact)).all())


def test_strong_convexity_of_the_data_counts_where_the_operator_is_an_isometry(dense, normal, fidelity) -> None:
    rotation = torch.linalg.qr(normal(6, 6)).Q
    smooth = SmoothedTotalVariation(nu=0.5, xi=0.0)
    y = normal(2, 6)
    iteration = GradientDescent()
    problem = Problem(dense(2 * rotation, (1, 2, 3), isometry=4.0), y, fidelity("l2"), smooth)
    assert iteration.certifies(problem)
    assert iteration.error_bound(problem, iteration.init(problem)) is not None
    # It counts because it is declared: nothing is concluded from how the operator acts on some image.
    other = Problem(dense(2 * rotation, (1, 2, 3)), y, fidelity("l2"), smooth)
    assert not iteration.certifies(other)
    assert iteration.error_bound(other, iteration.init(other)) is None
    with pytest.raises(CompositionError, match="certifies no error bound"):
        solve(other, iteration, stop=Stop(10, [CertifiedAccuracy(0.1)]))


def test_asked_for_accuracy_is_reached_per_sample(dense, normal, fidelity) -> None:
    operator, y = dense(normal(9, 6)), normal(3, 9, seed=1)
    problem = Problem(operator, y, fidelity("l2"), 0.5 * Tikhonov())
    asked = torch.tensor([1e-1, 1e-4, 1e-8], dtype=torch.float64)
    solution = solve(problem, GradientDescent(), stop=Stop(5000, [CertifiedAccuracy(asked)]))
    assert solution.verdict == (Verdict.CERTIFIED,) * 3
    assert solution.iterations[0] < solution.iterations[1] < solution.iterations[2]
    distance = norm(solution.x - ridge_solution(operator, y, 0.5))
    assert bool((distance <= asked).all())
    assert bool((distance <= solution.bound).all())


def test_works_on_the_derivative_of_nonlinear_operators(normal, fidelity) -> None:
    operator = SaturatingOperator(normal(6, 4).tolist(), (1, 2, 2))
    truth = normal(2, 1, 2, 2, seed=3)
    problem = Problem(operator, operator(truth), fidelity("l2"))
    x = solve(problem, GradientDescent(), stop=Stop(1500)).x
    torch.testing.assert_close(x, truth, rtol=1e-5, atol=1e-5)


def test_step_sizes_are_numbers_tensors_or_learned(dense, normal, fidelity) -> None:
    problem = Problem(dense(normal(5, 4)), normal(2, 5), fidelity("l2"))
    plain = solve(problem, GradientDescent(0.02), stop=Stop(3)).x
    learned = GradientDescent(nn.Parameter(torch.tensor(0.02, dtype=torch.float64)))
    assert [name for name, _ in learned.named_parameters()] == ["step_size"]
    torch.testing.assert_close(solve(problem, learned, stop=Stop(3)).x, plain)
    each = GradientDescent(torch.tensor([0.02, 0.04], dtype=torch.float64))
    alone = solve(problem.take(torch.tensor([1])), GradientDescent(0.04), stop=Stop(3)).x
    torch.testing.assert_close(solve(problem, each, stop=Stop(3)).x[1:], alone)
    for wrong in (0.0, -1.0, torch.tensor([0.1, -0.1])):
        with pytest.raises(InputError, match="must be positive"):
            GradientDescent(wrong)


def test_refusals_say_what_fits(dense, normal, fidelity) -> None:
    operator, y = dense(normal(5, 4)), normal(1, 5).abs()
    with pytest.raises(CompositionError, match="needs a regularizer with grad"):
        GradientDescent().check(Problem(operator, y, fidelity("l2"), L1Norm()))
    with pytest.raises(CompositionError, match="Lipschitz continuous"):
        GradientDescent().check(Problem(operator, y, fidelity("kullback-leibler")))
    GradientDescent(0.1).check(Problem(operator, y, fidelity("kullback-leibler")))


def test_state_is_not_changed_by_a_step(dense, normal, fidelity) -> None:
    problem = Problem(dense(normal(5, 4)), normal(2, 5), fidelity("l2"), Tikhonov())
    iteration = GradientDescent()
    state = iteration.step(problem, iteration.init(problem, normal(2, 1, 4)))
    copy = replace(state, x=state.x.clone())
    iteration.step(problem, state)
    assert torch.equal(copy.x, state.x)
