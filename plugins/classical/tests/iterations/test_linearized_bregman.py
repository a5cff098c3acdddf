"""Linearized Bregman: the limits that theory promises."""

from __future__ import annotations

import pytest
import torch

from wellposed import CompositionError, Problem, Stop, solve
from wellposed.space import norm
from wellposed.stopping import RelativeChange
from wellposed_classical.iterations.linearized_bregman import LinearizedBregman
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.smoothed_total_variation import SmoothedTotalVariation


def test_without_a_regularizer_the_limit_has_least_norm(dense, normal, fidelity) -> None:
    matrix, y = normal(4, 7), normal(2, 4, seed=1)
    problem = Problem(dense(matrix), y, fidelity("l2"))
    for start in (None, normal(2, 1, 7, seed=3)):
        x = solve(problem, LinearizedBregman(), stop=Stop(2000), init=start).x
        torch.testing.assert_close(x[:, 0], (torch.linalg.pinv(matrix) @ y.mT).mT, rtol=1e-7, atol=1e-7)


def test_sparse_signals_are_recovered_exactly(dense, normal, fidelity) -> None:
    matrix = normal(24, 60) / 24**0.5
    truth = torch.zeros(2, 1, 60, dtype=torch.float64)
    truth[0, 0, [3, 17, 40]] = torch.tensor([1.0, -2.0, 1.5], dtype=torch.float64)
    truth[1, 0, [8, 55]] = torch.tensor([-1.0, 2.0], dtype=torch.float64)
    operator = dense(matrix)
    x = solve(Problem(operator, operator(truth), fidelity("l2"), L1Norm()), LinearizedBregman(20.0), stop=Stop(4000)).x
    torch.testing.assert_close(x, truth, rtol=1e-6, atol=1e-6)
    assert int((x != 0).sum()) == 5


def test_limit_minimises_the_augmented_functional(dense, normal, fidelity) -> None:
    # Karush-Kuhn-Tucker: A*λ − x/δ is a subgradient of ‖x‖₁, and Ax = y.
    operator = dense(normal(5, 9))
    y, delta = normal(3, 5, seed=1), 0.7
    iteration = LinearizedBregman(delta)
    problem = Problem(operator, y, fidelity("l2"), L1Norm())
    state = iteration.init(problem)
    for _ in range(6000):
        state = iteration.step(problem, state)
    assert float(norm(operator(state.x) - y).max()) < 1e-8
    subgradient = state.dual - state.x / delta
    assert float(subgradient.abs().max()) <= 1 + 1e-9
    torch.testing.assert_close(subgradient[state.x != 0], torch.sign(state.x[state.x != 0]), rtol=1e-7, atol=1e-7)


def test_the_first_iterates_are_zero_and_do_not_count_as_converged(dense, normal, fidelity) -> None:
    operator = dense(torch.eye(5, dtype=torch.float64))
    problem = Problem(operator, 0.01 * normal(1, 5).abs() + 0.01, fidelity("l2"), L1Norm())
    solution = solve(problem, LinearizedBregman(1.0), stop=Stop(4000, [RelativeChange(1e-6)]))
    solution.require()
    torch.testing.assert_close(solution.x[:, 0], problem.measurement, rtol=1e-3, atol=1e-5)


def test_regularizers_without_proximal_map_are_refused(dense, normal, fidelity) -> None:
    problem = Problem(dense(normal(4, 4), (1, 2, 2)), normal(1, 4), fidelity("l2"), SmoothedTotalVariation())
    with pytest.raises(CompositionError, match="needs a regularizer with prox"):
        LinearizedBregman().check(problem)
