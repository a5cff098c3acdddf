"""Landweber, Kaczmarz, SART and stochastic gradients against dense linear algebra."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch

from wellposed import CompositionError, InputError, Problem, Stop, solve
from wellposed.registry import component
from wellposed.space import norm
from wellposed.stopping import Discrepancy
from wellposed.testing.doubles import SaturatingOperator
from wellposed_classical.iterations.kaczmarz import Kaczmarz
from wellposed_classical.iterations.landweber import Landweber
from wellposed_classical.iterations.row_blocks import block_gradient, visiting_order
from wellposed_classical.iterations.sart import SART
from wellposed_classical.iterations.stochastic_gradient import StochasticGradient
from wellposed_classical.regularizers.box import Box, Nonnegativity
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.tikhonov import Tikhonov

EARLY = pytest.mark.parametrize("iteration", [Landweber(), Kaczmarz(3), SART()])


def test_landweber_filters_singular_values(dense, normal, fidelity) -> None:
    matrix, y = normal(7, 5), normal(2, 7, seed=1)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    step, count = 0.9 / float(s[0]) ** 2, 17
    x = solve(Problem(dense(matrix), y, fidelity("l2")), Landweber(step_size=step), stop=Stop(count)).x
    factors = (1 - (1 - step * s**2) ** count) / s
    torch.testing.assert_close(x[:, 0], (y @ u) * factors @ vh, rtol=1e-10, atol=1e-10)


def test_landweber_takes_weights_and_relaxation_into_account(dense, normal, fidelity) -> None:
    matrix, y = normal(7, 5), normal(2, 7, seed=1)
    problem = Problem(dense(matrix), y, fidelity("l2", weight=40.0))
    x = solve(problem, Landweber(relaxation=1.9), stop=Stop(3000)).x
    torch.testing.assert_close(x[:, 0], torch.linalg.lstsq(matrix, y.mT).solution.mT, rtol=1e-6, atol=1e-6)


def test_landweber_on_a_nonlinear_operator(normal, fidelity) -> None:
    operator = SaturatingOperator((torch.eye(4) + 0.2 * normal(4, 4)).tolist(), (1, 2, 2))
    truth = normal(2, 1, 2, 2, seed=3)
    x = solve(Problem(operator, operator(truth), fidelity("l2")), Landweber(), stop=Stop(600)).x
    torch.testing.assert_close(x, truth, rtol=1e-5, atol=1e-5)


@EARLY
def test_bounds_are_kept_and_other_regularizers_refused(dense, normal, fidelity, iteration) -> None:
    operator = dense(normal(8, 6).abs())
    y = operator(normal(2, 1, 6, seed=1))
    for bounds, lower, upper in ((Nonnegativity(), 0.0, torch.inf), (2.0 * Box(-0.2, 0.3), -0.2, 0.3)):
        x = solve(Problem(operator, y, fidelity("l2"), bounds), iteration, stop=Stop(20)).x
        assert bool(((x >= lower) & (x <= upper)).all())
        assert bool((x == lower).any())
    with pytest.raises(CompositionError, match="stopped early"):
        iteration.check(Problem(operator, y, fidelity("l2"), 0.1 * Tikhonov()))


@EARLY
def test_the_discrepancy_principle_stops_them(dense, normal, fidelity, iteration) -> None:
    operator = dense(torch.eye(9, dtype=torch.float64) + 0.05 * normal(9, 9).abs())
    clean = operator(normal(2, 1, 9, seed=1).abs())
    noise = 0.05 * normal(2, 9, seed=2)
    level = float(norm(noise).max())
    problem = Problem(operator, clean + noise, fidelity("l2"))
    solution = solve(problem, iteration, stop=Stop(2000, [Discrepancy(level, 1.1)]))
    solution.require()
    residual = norm(operator(solution.x) - problem.measurement)
    assert bool((residual <= 1.1 * level).all())
    assert all(0 < count < 2000 for count in solution.iterations)


def test_kaczmarz_with_one_row_a_block_projects_onto_each_hyperplane(dense, normal, fidelity) -> None:
    matrix, y = normal(5, 4), normal(1, 5, seed=1)
    x = torch.zeros(4, dtype=torch.float64)
    for i in visiting_order(5):
        x = x + (y[0, i] - matrix[i] @ x) * matrix[i] / (matrix[i] @ matrix[i])
    swept = solve(Problem(dense(matrix), y, fidelity("l2")), Kaczmarz(5), stop=Stop(1)).x
    torch.testing.assert_close(swept[0, 0], x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_kaczmarz_finds_the_solution_of_least_norm(dense, normal, fidelity, dtype) -> None:
    matrix = normal(4, 7, dtype=dtype)
    y = normal(2, 4, dtype=dtype, seed=1)
    x = solve(Problem(dense(matrix), y, fidelity("l2")), Kaczmarz(2, relaxation=1.5), stop=Stop(400)).x
    expected = (torch.linalg.pinv(matrix) @ y.mT).mT
    torch.testing.assert_close(x[:, 0], expected, rtol=1e-7, atol=1e-7)


def test_sart_divides_by_row_and_column_sums(dense, normal, fidelity) -> None:
    matrix, y = normal(6, 4).abs(), normal(2, 6, seed=1).abs()
    matrix[2] = 0.0  # a ray that misses the image
    matrix[:, 1] = 0.0  # a pixel that no ray sees
    x = solve(Problem(dense(matrix), y, fidelity("l2")), SART(relaxation=0.7), stop=Stop(2)).x[:, 0]
    rows = torch.where(matrix.sum(1) > 0, 1 / matrix.sum(1), 0.0)
    columns = torch.where(matrix.sum(0) > 0, 1 / matrix.sum(0), 0.0)
    expected = torch.zeros(2, 4, dtype=torch.float64)
    for _ in range(2):
        expected = expected + 0.7 * columns * (((y - expected @ matrix.mT) * rows) @ matrix)
    torch.testing.assert_close(x, expected, rtol=1e-12, atol=1e-12)
    assert bool((x[:, 1] == 0).all())


def test_sart_refuses_entries_of_both_signs_and_complex_ones(dense, normal, fidelity) -> None:
    with pytest.raises(CompositionError, match="nonnegative entries"):
        SART().check(Problem(dense(normal(6, 4)), normal(1, 6), fidelity("l2")))
    matrix = normal(6, 4, dtype=torch.complex128)
    with pytest.raises(CompositionError, match="is complex"):
        SART().check(Problem(dense(matrix), normal(1, 6, dtype=torch.complex128), fidelity("l2")))


@pytest.mark.parametrize("iteration", [Kaczmarz(5), SART(5), StochasticGradient(5)])
def test_tomography_in_few_sweeps(normal, fidelity, iteration) -> None:
    operator = component("operators", "parallel-beam")(shape=(16, 16), angles=20).double()
    truth = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    truth[..., 4:11, 5:9] = 1.0
    problem = Problem(operator, operator(truth), fidelity("l2"))
    x = solve(problem, iteration, stop=Stop(60 if not isinstance(iteration, StochasticGradient) else 600)).x
    assert float(norm(x - truth) / norm(truth)) < 0.15
    landweber = solve(problem, Landweber(), stop=Stop(60)).x
    assert float(norm(x - truth)) < float(norm(landweber - truth))


@pytest.mark.parametrize("variance_reduction", [True, False])
def test_stochastic_gradient_reaches_the_regularized_solution(dense, normal, fidelity, variance_reduction) -> None:
    matrix, y = normal(12, 4), normal(2, 12, seed=1)
    problem = Problem(dense(matrix), y, fidelity("l2"), 2.0 * Tikhonov())
    exact = torch.linalg.solve(matrix.mT @ matrix + 2.0 * torch.eye(4), matrix.mT @ y.mT).mT
    iteration = StochasticGradient(4, variance_reduction=variance_reduction, decay=0.0 if variance_reduction else 0.3)
    x = solve(problem, iteration, stop=Stop(1200)).x
    tolerance = 1e-8 if variance_reduction else 2e-2
    assert float((norm(x[:, 0] - exact) / norm(exact)).max()) < tolerance


def test_stochastic_gradient_is_deterministic_and_depends_on_its_seed(dense, normal, fidelity) -> None:
    problem = Problem(dense(normal(12, 4)), normal(2, 12), fidelity("l2"))
    images = [solve(problem, StochasticGradient(4, seed=seed), stop=Stop(7)).x for seed in (0, 0, 1)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_plain_stochastic_gradient_is_the_gradient_of_one_block(dense, normal, fidelity) -> None:
    matrix, y = normal(6, 4), normal(1, 6, seed=1)
    iteration = StochasticGradient(3, step_size=0.1, variance_reduction=False)
    problem = Problem(dense(matrix), y, fidelity("l2"), Tikhonov())
    start = normal(1, 1, 4, seed=2)
    x = iteration.step(problem, iteration.init(problem, start)).x[0, 0]
    candidates = []
    for b in range(3):
        rows = torch.arange(b, 6, 3)
        gradient = matrix[rows].mT @ (matrix[rows] @ start[0, 0] - y[0, rows]) + start[0, 0] / 3
        candidates.append(start[0, 0] - 0.1 * gradient)
    assert sum(torch.allclose(x, candidate, rtol=1e-12, atol=1e-12) for candidate in candidates) == 1


def test_block_gradients_see_weights_of_their_bins(dense, normal) -> None:
    weight = normal(6).abs()
    l2 = component("fidelities", "l2")(weight=weight)
    problem = Problem(dense(normal(6, 4)), normal(2, 6), l2)
    block = problem.operator.row_blocks(3)[1]
    v = normal(2, 2, seed=5)
    expected = weight[[1, 4]] * (v - problem.measurement[:, [1, 4]])
    torch.testing.assert_close(block_gradient(problem, block, v), expected)


def test_blocks_are_visited_once_and_apart() -> None:
    for count in range(1, 40):
        assert sorted(visiting_order(count)) == list(range(count))
    order = visiting_order(30)
    assert min(abs(a - b) for a, b in pairwise(order)) > 5


@pytest.mark.parametrize("make", [Kaczmarz, StochasticGradient, lambda n: SART(n)])
def test_numbers_of_blocks_are_checked(dense, normal, fidelity, make) -> None:
    with pytest.raises(InputError, match="at least one"):
        make(0)
    with pytest.raises(InputError, match="cannot be split"):
        make(99).check(Problem(dense(normal(6, 4).abs()), normal(1, 6), fidelity("l2")))


def test_stochastic_gradient_refuses_what_has_no_gradient(dense, normal, fidelity) -> None:
    with pytest.raises(CompositionError, match="with grad"):
        StochasticGradient(2).check(Problem(dense(normal(6, 4)), normal(1, 6), fidelity("l2"), L1Norm()))


def test_copies_of_an_iteration_do_not_share_what_it_remembers(dense, normal, fidelity) -> None:
    problem = Problem(dense(normal(6, 4)), normal(1, 6), fidelity("l2"))
    iteration = Kaczmarz(2)
    first = solve(problem, iteration, stop=Stop(3)).x
    other = copy.deepcopy(iteration)
    assert torch.equal(solve(problem, other, stop=Stop(3)).x, first)


@pytest.mark.parametrize(("variance_reduction", "share"), [(False, 1.0), (True, 0.5)])
def test_the_default_step_of_stochastic_gradients(dense, normal, fidelity, variance_reduction, share) -> None:
    """`1/max_b(‖A_b‖² L_D + L_R/n)`, half of it with variance reduction."""
    matrix, weight = normal(6, 4), 3.0
    problem = Problem(dense(matrix), normal(1, 6, seed=1), fidelity("l2", weight=weight), 0.8 * Tikhonov())
    iteration = StochasticGradient(2, variance_reduction=variance_reduction)
    sizes = [float(torch.linalg.matrix_norm(matrix[b::2], 2)) ** 2 for b in range(2)]
    halves = [float(torch.linalg.matrix_norm(part, 2)) ** 2 for part in matrix.chunk(2)]
    expected = [share / (weight * max(each) + 0.8 / 2) for each in (sizes, halves)]
    step = float(iteration.init(problem).step_size)
    assert min(abs(step / e - 1) for e in expected) < 0.02
