"""The proximal gradient method and FISTA: closed forms, rates of theory, restarts, certificates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wellposed import CompositionError, Problem, Regularizer, Stop, solve
from wellposed.space import norm
from wellposed.stopping import CertifiedAccuracy
from wellposed_classical.iterations.fista import FISTA
from wellposed_classical.iterations.proximal_gradient import ProximalGradient
from wellposed_classical.regularizers.box import Nonnegativity
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.smoothed_total_variation import SmoothedTotalVariation
from wellposed_classical.regularizers.tikhonov import Tikhonov
from wellposed_classical.regularizers.total_variation import TotalVariation

BOTH = pytest.mark.parametrize("iteration", [ProximalGradient(), FISTA(), FISTA(restart=False)])


def soft(x, threshold):
    return torch.sign(x) * (x.abs() - threshold).clamp_min(0)


def hard_lasso(dense, fidelity, size=400):
    """A separable lasso with a spectrum down to 1e-6, and its solution in closed form.

    The solution has much of its energy where the spectrum is small, so that no method gets far faster
    than its worst case.
    """
    spectrum = torch.arange(1, size + 1, dtype=torch.float64) ** -1.0
    operator = dense(torch.diag(spectrum))
    operator._norm = lambda: 1.0
    solution = torch.ones(1, 1, size, dtype=torch.float64) * torch.arange(1, size + 1).double() ** -0.55
    weight = 1e-6
    y = spectrum * solution[:, 0] + weight / spectrum
    return Problem(operator, y, fidelity("l2"), weight * L1Norm()), solution


def gaps(iteration, problem, solution, counts):
    minimum = problem.objective(solution)
    state = iteration.init(problem)
    found = []
    for count in range(1, max(counts) + 1):
        state = iteration.step(problem, state)
        if count in counts:
            found.append(float(problem.objective(iteration.estimate(state)) - minimum))
    return found


def slope(counts, values):
    """Least-squares slope of log(values) against log(counts)."""
    x = torch.tensor([math.log(c) for c in counts], dtype=torch.float64)
    y = torch.tensor([math.log(v) for v in values], dtype=torch.float64)
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


@BOTH
def test_lasso_with_orthonormal_columns_is_soft_thresholding(dense, normal, fidelity, iteration) -> None:
    columns = torch.linalg.qr(normal(9, 5)).Q
    operator, y = dense(columns), 3 * normal(3, 9, seed=1)
    solution = solve(Problem(operator, y, fidelity("l2"), 0.7 * L1Norm()), iteration, stop=Stop(200))
    torch.testing.assert_close(solution.x[:, 0], soft(y @ columns, 0.7), rtol=1e-9, atol=1e-9)


@BOTH
def test_smooth_and_constrained_terms_go_together(dense, normal, fidelity, iteration) -> None:
    # min ½‖Ax − y‖² + α/2‖x‖² over x ≥ 0 satisfies x = max(0, x − ∇f(x)).
    operator, y = dense(normal(8, 6)), normal(2, 8, seed=1)
    regularizer = 0.3 * Tikhonov() + Nonnegativity()
    problem = Problem(operator, y, fidelity("l2"), regularizer)
    x = solve(problem, iteration, stop=Stop(1200)).x
    gradient = problem.data_gradient(x) + 0.3 * x
    torch.testing.assert_close((x - gradient).clamp_min(0), x, rtol=1e-8, atol=1e-8)
    assert bool((x == 0).any())


def test_ista_falls_like_one_over_k(dense, fidelity) -> None:
    problem, solution = hard_lasso(dense, fidelity)
    counts = [2**i for i in range(3, 11)]
    found = gaps(ProximalGradient(), problem, solution, counts)
    worst_case = [float(norm(solution)) ** 2 / (2 * k) for k in counts]
    assert all(gap <= bound for gap, bound in zip(found, worst_case, strict=True))
    assert -1.3 <= slope(counts, found) <= -0.95


def test_fista_falls_like_one_over_k_squared(dense, fidelity) -> None:
    problem, solution = hard_lasso(dense, fidelity)
    counts = [2**i for i in range(3, 9)]
    found = gaps(FISTA(restart=False), problem, solution, counts)
    worst_case = [2 * float(norm(solution)) ** 2 / (k + 1) ** 2 for k in counts]
    assert all(gap <= bound for gap, bound in zip(found, worst_case, strict=True))
    assert slope(counts, found) <= -1.9


def test_fista_is_linear_at_the_accelerated_rate_where_strongly_convex(dense, normal, fidelity) -> None:
    spectrum = torch.linspace(0.0, 1.0, 60, dtype=torch.float64)
    operator, y = dense(torch.diag(spectrum)), normal(1, 60)
    operator._norm = lambda: 1.0
    convexity = 1e-3
    problem = Problem(operator, y, fidelity("l2"), convexity * Tikhonov() + 1e-3 * L1Norm())
    exact = soft(spectrum * y, 1e-3) / (spectrum**2 + convexity)
    counts = [100, 400]
    q = convexity / (1 + convexity)

    def distances(iteration):
        state = iteration.init(problem)
        found = []
        for count in range(1, counts[-1] + 1):
            state = iteration.step(problem, state)
            if count in counts:
                found.append(float(norm(state.x - exact[:, None])))
        return found

    slow, fast = distances(ProximalGradient(1 / (1 + convexity))), distances(FISTA(restart=False))
    per_step = (fast[1] / fast[0]) ** (1 / 300)
    # ‖x_k − x*‖² falls at least like (1 − √q)^k; the plain method only like (1 − q)^{2k}.
    assert per_step <= (1 - math.sqrt(q)) ** 0.5 + 1e-3
    assert (slow[1] / slow[0]) ** (1 / 300) <= 1 - q + 1e-3
    assert fast[1] < 1e-2 * slow[1]


def test_restart_helps_where_strong_convexity_is_not_known(dense, normal, fidelity) -> None:
    operator = dense(torch.diag(torch.linspace(0.05, 1, 50, dtype=torch.float64)))
    problem = Problem(operator, normal(2, 50), fidelity("l2"), 0.01 * L1Norm())
    exact = solve(problem, FISTA(), stop=Stop(1500)).x

    def reached(restart):
        return float(norm(solve(problem, FISTA(restart=restart), stop=Stop(300)).x - exact).max())

    assert reached(True) < 1e-3 * reached(False)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_certified_bounds_hold(dense, normal, fidelity, iteration, dtype) -> None:
    checked = 0
    for seed in range(4):
        matrix = normal(10, 8, seed=seed)
        y = normal(60, 10, seed=seed + 1)
        regularizer = 0.2 * Tikhonov() + 10.0 ** (seed % 3 - 2) * L1Norm()
        fine = Problem(dense(matrix), y, fidelity("l2"), regularizer)
        exact = solve(fine, FISTA(), stop=Stop(4000, [CertifiedAccuracy(1e-11)], every=20)).require()
        problem = Problem(dense(matrix.to(dtype)), y.to(dtype), fidelity("l2"), regularizer)
        state = iteration.init(problem)
        for _ in range(25):
            state = iteration.step(problem, state)
            bound = iteration.error_bound(problem, state)
            assert bool((bound >= norm(iteration.estimate(state) - exact) - 1e-10).all())
            checked += len(bound)
    assert checked >= 5000


@BOTH
def test_certified_bounds_hold_for_data_far_outside_the_range(dense, normal, fidelity, iteration) -> None:
    matrix = normal(10, 8)
    outside = torch.linalg.qr(matrix, mode="complete").Q[:, 8:] @ normal(2, 40)
    y = normal(40, 10) + 1e4 * outside.T
    exact = torch.linalg.solve(matrix.T @ matrix + torch.eye(8, dtype=matrix.dtype), matrix.T @ y.float().double().T).T
    problem = Problem(dense(matrix.float()), y.float(), fidelity("l2"), Tikhonov())
    state = iteration.init(problem)
    for _ in range(400):
        state = iteration.step(problem, state)
        bound = iteration.error_bound(problem, state)
        distance = norm(iteration.estimate(state)[:, 0] - exact)
        assert bool((bound >= distance).all())
    assert float(distance.max()) > 1e-4 * float(norm(exact).max())  # rounding of the data, not of the image


def test_fista_takes_smooth_regularizers_without_proximal_map(dense, normal, fidelity) -> None:
    operator = dense(normal(12, 9), (1, 3, 3))
    problem = Problem(operator, normal(2, 12), fidelity("l2"), 0.5 * SmoothedTotalVariation(nu=0.1, xi=0.1))
    x = solve(problem, FISTA(), stop=Stop(600)).x
    assert float(norm(problem.gradient(x)).max()) < 1e-9


@BOTH
def test_two_terms_without_gradient_are_refused_by_name(dense, normal, fidelity, iteration) -> None:
    regularizer = TotalVariation() + Nonnegativity()
    problem = Problem(dense(normal(5, 4), (1, 2, 2)), normal(1, 5), fidelity("l2"), regularizer)
    with pytest.raises(CompositionError, match="TotalVariation and Nonnegativity"):
        iteration.check(problem)


@BOTH
def test_complex_images(dense, normal, fidelity, iteration) -> None:
    matrix = torch.linalg.qr(normal(7, 4, dtype=torch.complex128)).Q
    y = 3 * normal(2, 7, dtype=torch.complex128, seed=2)
    x = solve(Problem(dense(matrix), y, fidelity("l2"), 0.5 * L1Norm()), iteration, stop=Stop(200)).x[:, 0]
    back = y @ matrix.conj()
    expected = back / back.abs() * (back.abs() - 0.5).clamp_min(0)
    torch.testing.assert_close(x, expected, rtol=1e-9, atol=1e-9)


class Learned(Regularizer):
    """A map that expands, in the place of a proximal map; `constant` is what it states of itself."""

    source = "test"
    capabilities = frozenset({"prox"})

    def __init__(self, factor: float, constant: float | None) -> None:
        super().__init__()
        self.factor, self.constant = factor, constant

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return self.factor * x + 1

    def prox_lipschitz(self, step: float | Tensor) -> float | None:
        return self.constant


@BOTH
def test_a_map_that_is_not_known_to_be_lipschitz_certifies_nothing(iteration, dense, fidelity, normal) -> None:
    """Not even where the data term is strongly convex."""
    operator = dense(2 * torch.eye(8, dtype=torch.float64))
    problem = Problem(operator, normal(2, 8), fidelity("l2"), Learned(3.0, None))
    assert solve(problem, iteration, stop=Stop(3)).bound is None


def test_a_contracting_map_certifies_its_fixed_point(dense, fidelity, normal) -> None:
    """`x = q (x − s A*(Ax − y)) + 1` in closed form, with a data term that is not strongly convex."""
    q, diagonal = 0.8, torch.tensor([1.0, 0.5, 0.1, 0.0], dtype=torch.float64)
    operator, y = dense(torch.diag(diagonal)), normal(3, 4)
    exact = (q * diagonal * y + 1) / (1 - q * (1 - diagonal**2))
    problem = Problem(operator, y, fidelity("l2"), Learned(q, q))
    for steps in (1, 5, 40):
        solution = solve(problem, ProximalGradient(step_size=1.0), stop=Stop(steps))
        distance = norm(solution.x - exact.reshape(solution.x.shape))
        assert solution.bound is not None
        assert bool((distance <= solution.bound + 1e-12).all())
    assert float(solution.bound.max()) < 1e-2  # type: ignore[union-attr]
