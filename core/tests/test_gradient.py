"""Gradient objects: constants without one, exact derivatives through unrolled steps, checkpoints."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wellposed import Iteration, NoGradient, Problem, Stop, Unrolled, solve
from wellposed.solver import Iterative
from wellposed.stopping import RelativeChange
from wellposed.testing.doubles import (
    DenseOperator,
    GradientStep,
    Image,
    QuadraticFidelity,
    QuadraticRegularizer,
)


class LearnedStep(Iteration[Image]):
    """Gradient descent with a learned step size; counts how often it is applied."""

    requires = frozenset({"grad"})

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
        self.calls = 0

    def init(self, problem: Problem, x: Tensor | None = None) -> Image:
        return Image(problem.zeros() if x is None else x)

    def step(self, problem: Problem, state: Image) -> Image:
        self.calls += 1
        return Image(state.x - self.size * problem.gradient(state.x))


def problem(y: Tensor | None = None) -> Problem:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.eye(4, dtype=torch.float64) + 0.3 * torch.rand(4, 4, generator=generator, dtype=torch.float64)
    drawn = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    operator = DenseOperator(matrix.tolist(), (1, 2, 2))
    return Problem(operator, drawn if y is None else y, QuadraticFidelity(), QuadraticRegularizer(0.1))


def test_without_a_gradient_object_the_image_is_a_constant() -> None:
    y = problem().measurement.requires_grad_()
    iteration = LearnedStep()
    for gradient in (None, NoGradient()):
        assert not solve(problem(y), iteration, stop=Stop(3), gradient=gradient).x.requires_grad


@pytest.mark.parametrize("checkpoint", [False, True])
def test_unrolled_derivatives_are_exact(checkpoint: bool) -> None:
    iteration, gradient = LearnedStep(), Unrolled(checkpoint)

    def image(y: Tensor, start: Tensor) -> Tensor:
        return solve(problem(y), iteration, stop=Stop(4), gradient=gradient, init=start).x

    y = problem().measurement.requires_grad_()
    start = torch.full((3, 1, 2, 2), 0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(image, (y, start))
    (derivative,) = torch.autograd.grad(image(y, start).square().sum(), iteration.size)
    values = []
    for size in (0.1 + 1e-6, 0.1 - 1e-6):
        with torch.no_grad():
            iteration.size.fill_(size)
        values.append(float(image(y, start).square().sum().detach()))
    assert float(derivative) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6)


def test_checkpoints_recompute_each_step_and_give_the_same_derivative() -> None:
    found, calls = [], []
    for gradient in (Unrolled(), Unrolled(checkpoint=True)):
        iteration = LearnedStep()
        y = problem().measurement.requires_grad_()
        x = solve(problem(y), iteration, stop=Stop(6), gradient=gradient).x
        found.append(torch.autograd.grad(x.square().sum(), (y, iteration.size)))
        calls.append(iteration.calls)
    assert calls == [6, 12]
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(plain, recomputed, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_derivatives_where_samples_end_at_different_steps(checkpoint: bool) -> None:
    # A recomputed step needs the problem of the samples that were running then, not of those that are left.
    y = problem().measurement * torch.tensor([[1.0], [0.01], [100.0]])
    start = torch.full((3, 1, 2, 2), 0.3, dtype=torch.float64)
    stop = Stop(60, [RelativeChange(1e-3)])
    iteration = LearnedStep()
    together = y.clone().requires_grad_()
    solution = solve(problem(together), iteration, stop=stop, gradient=Unrolled(checkpoint), init=start)
    assert len(set(solution.iterations)) > 1
    (derivative,) = torch.autograd.grad(solution.x.square().sum(), together)
    for i in range(3):
        alone = y[i : i + 1].clone().requires_grad_()
        x = solve(problem(alone), iteration, stop=stop, gradient=Unrolled(), init=start[i : i + 1]).x
        (expected,) = torch.autograd.grad(x.square().sum(), alone)
        torch.testing.assert_close(derivative[i : i + 1], expected, rtol=1e-12, atol=1e-12)


def test_a_broken_measurement_leaves_the_derivatives_of_the_others_finite() -> None:
    y = problem().measurement
    y[1, 0] = float("nan")
    y.requires_grad_()
    iteration = LearnedStep()
    x = solve(problem(y), iteration, stop=Stop(4), gradient=Unrolled()).x
    derivative, by_size = torch.autograd.grad(x.square().sum(), (y, iteration.size))
    assert bool(torch.isfinite(derivative).all())
    assert bool(torch.isfinite(by_size))
    assert bool((derivative[1] == 0).all())


def test_no_tape_is_kept_where_gradients_are_off() -> None:
    iteration = LearnedStep()
    with torch.no_grad():
        assert not solve(problem(), iteration, stop=Stop(2), gradient=Unrolled()).x.requires_grad


def test_unrolled_solver_is_a_network() -> None:
    solver = Iterative(LearnedStep(), QuadraticFidelity(), QuadraticRegularizer(0.1)).unrolled(5)
    posed = problem()
    solver(posed.measurement, posed.operator).square().sum().backward()
    (size,) = solver.parameters()
    assert size.grad is not None
    assert float(size.grad.abs()) > 0


def test_steps_that_are_not_learned_still_pass_derivatives_by_the_measurement() -> None:
    y = problem().measurement.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: solve(problem(v), GradientStep(), stop=Stop(3), gradient=Unrolled()).x, y)
