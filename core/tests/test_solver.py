"""Solvers: the one that starts another has a problem of its own, and learned weights have a precision."""

from __future__ import annotations

import pytest
import torch

from wellposed import CompositionError, InputError, Problem, Stop
from wellposed.fidelity import Unstated
from wellposed.pseudo_inverse import PseudoInverse
from wellposed.solver import Iterative
from wellposed.testing.doubles import (
    BareRegularizer,
    DenseOperator,
    GradientStep,
    LearnedFilter,
    PeriodicBlur,
    QuadraticFidelity,
    QuadraticRegularizer,
    SaturatingOperator,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_solver_that_starts_another_solves_a_problem_of_its_own() -> None:
    operator = DenseOperator.from_tensor(normal(6, 4), (1, 2, 2))
    y = normal(3, 6, seed=1)
    first = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(5.0), Stop(40))
    second = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(0.1), Stop(1), init=first)
    begun = first(y, operator)
    alone = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(0.1), Stop(1))
    expected = alone.solve(alone.pose(y, operator), init=begun).x
    torch.testing.assert_close(second(y, operator), expected, rtol=0, atol=0)


def test_what_starts_a_solver_is_checked_with_its_own_problem() -> None:
    operator = DenseOperator.from_tensor(normal(6, 4), (1, 2, 2))
    good = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(1.0))
    bad = Iterative(GradientStep(), QuadraticFidelity(), BareRegularizer())
    for start, works in ((good, True), (bad, False)):
        solver = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(0.1), init=start)
        problem = Problem(operator, normal(2, 6), QuadraticFidelity(), QuadraticRegularizer(0.1))
        if works:
            solver.check(problem)
        else:
            with pytest.raises(CompositionError, match="BareRegularizer"):
                solver.check(problem)


def test_weights_of_another_precision_are_refused_in_a_sentence() -> None:
    solver, operator = LearnedFilter(), PeriodicBlur((1, 6, 6)).double()
    after = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(), Stop(1), init=solver)
    y = operator(operator.domain.zeros(1, dtype=torch.float64))
    for attempt in (
        lambda: solver.with_penalty(y, operator),
        lambda: solver.solve(solver.pose(y, operator)),
        lambda: after(y, operator),
    ):
        with pytest.raises(InputError, match=r"float32 weights on cpu and got torch\.float64 measurements"):
            attempt()
    assert solver.double().with_penalty(y, operator)[0].dtype == torch.float64


def test_pseudo_inverse_is_the_operators_own() -> None:
    matrix = normal(9, 6)
    operator = DenseOperator.from_tensor(matrix, (1, 2, 3))
    y = normal(2, 9, seed=1)
    expected = (y @ torch.linalg.pinv(matrix).mT).reshape(2, 1, 2, 3)
    torch.testing.assert_close(PseudoInverse()(y, operator), expected, rtol=1e-7, atol=1e-7)


def test_pseudo_inverse_refuses_what_is_not_linear() -> None:
    solver, operator = PseudoInverse(), SaturatingOperator(normal(6, 4), (1, 2, 2))
    y = operator(operator.domain.zeros(1, dtype=torch.float64))
    for attempt in (lambda: solver(y, operator), lambda: solver.check(Problem(operator, y, Unstated()))):
        with pytest.raises(CompositionError, match="SaturatingOperator is not linear and has no direct inversion"):
            attempt()
