"""Gradients at fixed points: implicit against unrolled steps and finite differences, values not only shapes."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from wellposed import (
    Fidelity,
    FixedPointResidual,
    Gradient,
    Iteration,
    LinearOperator,
    Problem,
    Space,
    State,
    Stop,
    Unrolled,
    solve,
)
from wellposed.errors import CapabilityMissing
from wellposed_equilibrium.accelerations.anderson import Anderson
from wellposed_equilibrium.accelerations.broyden import Broyden
from wellposed_equilibrium.gradients.implicit import Implicit
from wellposed_equilibrium.gradients.jacobian_free import JacobianFree
from wellposed_equilibrium.gradients.phantom import Phantom


class Identity(LinearOperator):
    """The identity on small images."""

    def __init__(self) -> None:
        super().__init__(Space((1, 4, 4)), Space((1, 4, 4)))

    def _forward(self, x: Tensor) -> Tensor:
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        return y


class Squared(Fidelity):
    """½‖v − y‖²."""

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (v - y).flatten(1).square().sum(1)


@dataclass(frozen=True)
class Primal(State):
    """An image and a second tensor, so that the state is more than the image."""

    x: Tensor
    u: Tensor


class Contraction(Iteration[Primal]):
    """`x ← ½ tanh(W * x) + ½ y + 0.1 u`, `u ← 0.3 x`: a contraction for small weights."""

    linear_only = False

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        weight = 0.15 * torch.randn(1, 1, 3, 3, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(weight)

    def init(self, problem: Problem, x: Tensor | None = None) -> Primal:
        start = problem.zeros() if x is None else x
        return Primal(start, torch.zeros_like(start))

    def step(self, problem: Problem, state: Primal) -> Primal:
        response = torch.tanh(nn.functional.conv2d(state.x, self.weight, padding=1))
        x = 0.5 * response + 0.5 * problem.measurement + 0.1 * state.u
        return Primal(x, 0.3 * state.x)


def loss_and_gradients(gradient: Gradient, steps: int = 400, tolerance: float = 1e-13) -> tuple[Tensor, Tensor, Tensor]:
    """A loss of the fixed point, its gradient in the weights and in the measurement."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64).requires_grad_()
    target = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64)
    iteration = Contraction()
    rules = [] if gradient.records_loop else [FixedPointResidual(tolerance)]
    problem = Problem(Identity(), y, Squared())
    solution = solve(problem, iteration, stop=Stop(steps, rules), gradient=gradient)
    loss = (solution.x - target).square().sum()
    loss.backward()
    assert iteration.weight.grad is not None
    assert y.grad is not None
    return loss.detach(), iteration.weight.grad, y.grad


@pytest.fixture(scope="module")
def reference() -> tuple[Tensor, Tensor, Tensor]:
    return loss_and_gradients(Unrolled(), steps=200)


@pytest.mark.parametrize("acceleration", [None, Broyden(30)])
def test_implicit_equals_two_hundred_unrolled_steps(reference, acceleration) -> None:
    found = loss_and_gradients(Implicit(tolerance=1e-12, acceleration=acceleration))
    for a, b in zip(found, reference, strict=True):
        assert (a - b).norm() <= 1e-9 * b.norm()


def test_implicit_equals_finite_differences() -> None:
    _, weight_grad, _ = loss_and_gradients(Implicit(tolerance=1e-12))
    h = 1e-5
    direction = torch.ones_like(weight_grad) / 3

    def loss_at(shift: float) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        y = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64)
        target = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64)
        iteration = Contraction()
        with torch.no_grad():
            iteration.weight += shift * direction
        problem = Problem(Identity(), y, Squared())
        x = solve(problem, iteration, stop=Stop(400, [FixedPointResidual(1e-14)])).x
        return (x - target).square().sum()

    slope = (loss_at(h) - loss_at(-h)) / (2 * h)
    assert abs(slope - (weight_grad * direction).sum()) <= 1e-6 * abs(slope)


def test_works_in_eval_mode_and_without_grad() -> None:
    iteration = Contraction().eval()
    y = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    problem = Problem(Identity(), y, Squared())
    x = solve(problem, iteration, stop=Stop(50), gradient=Implicit()).x
    assert x.requires_grad
    with torch.no_grad():
        assert not solve(problem, iteration, stop=Stop(50), gradient=Implicit()).x.requires_grad


def test_gradients_of_gradients_are_refused_rather_than_wrong() -> None:
    y = torch.ones(1, 1, 4, 4, dtype=torch.float64).requires_grad_()
    problem = Problem(Identity(), y, Squared())
    x = solve(problem, Contraction(), stop=Stop(50), gradient=Implicit()).x
    with pytest.raises(CapabilityMissing, match="create_graph=True"):
        torch.autograd.grad(x.square().sum(), y, create_graph=True)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_comes_back_as_such_and_spoils_no_other_sample(bad: float) -> None:
    """A loss scaling of half precision looks for infinite gradients and goes on."""
    y = torch.ones(2, 1, 4, 4, dtype=torch.float64).requires_grad_()
    gradient = Implicit(tolerance=1e-10)
    x = solve(Problem(Identity(), y, Squared()), Contraction(), stop=Stop(100), gradient=gradient).x
    v = torch.ones_like(x)
    (expected,) = torch.autograd.grad(x, y, v, retain_graph=True)
    v[0] *= bad
    (found,) = torch.autograd.grad(x, y, v)
    assert not bool(torch.isfinite(found[0]).any())
    torch.testing.assert_close(found[1], expected[1], rtol=1e-8, atol=1e-10)
    assert gradient.report is not None
    assert gradient.report.iterations < 50


class Constant(Contraction):
    """A map that does not look at its argument."""

    def step(self, problem: Problem, state: Primal) -> Primal:
        x = 2.0 * self.weight.sum() * problem.measurement
        return Primal(x, torch.zeros_like(x))


def test_a_map_without_an_argument_takes_one_product() -> None:
    gradient, iteration = Implicit(), Constant()
    problem = Problem(Identity(), torch.ones(1, 1, 4, 4, dtype=torch.float64), Squared())
    solve(problem, iteration, stop=Stop(3), gradient=gradient).x.sum().backward()
    assert gradient.report is not None
    assert (gradient.report.iterations, gradient.report.converged) == (1, True)
    assert iteration.weight.grad is not None
    torch.testing.assert_close(iteration.weight.grad, torch.full_like(iteration.weight, 32.0))


def test_short_backward_solve_is_loud_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    gradient = Implicit(tolerance=1e-14, iterations=2)
    with caplog.at_level(logging.WARNING):
        loss_and_gradients(gradient)
    assert "gradients are inexact" in caplog.text
    assert gradient.report is not None
    assert not gradient.report.converged
    assert gradient.report.iterations == 2


def test_jacobian_free_is_the_gradient_of_one_step(reference) -> None:
    """The definition, step for step: the map's own derivative at the fixed point."""
    _, weight_grad, _ = loss_and_gradients(JacobianFree())
    _, exact, _ = reference
    assert (weight_grad * exact).sum() > 0
    assert (weight_grad - exact).norm() > 1e-3 * exact.norm()
    _, one, _ = loss_and_gradients(Phantom(steps=1, damping=1.0))
    torch.testing.assert_close(weight_grad, one)


def test_phantom_approaches_the_implicit_gradient(reference) -> None:
    _, exact, _ = reference
    errors = [float((loss_and_gradients(Phantom(k, 0.9))[1] - exact).norm() / exact.norm()) for k in (1, 4, 16)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_accelerated_forward_pass_has_the_same_gradient(reference) -> None:
    y = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target_generator = torch.Generator().manual_seed(0)
    torch.randn(3, 1, 4, 4, generator=target_generator, dtype=torch.float64)
    target = torch.randn(3, 1, 4, 4, generator=target_generator, dtype=torch.float64)
    iteration = Contraction()
    problem = Problem(Identity(), y, Squared())
    solution = solve(
        problem,
        iteration,
        stop=Stop(100, [FixedPointResidual(1e-12)]),
        acceleration=Anderson(),
        gradient=Implicit(tolerance=1e-12),
    )
    (solution.x - target).square().sum().backward()
    assert iteration.weight.grad is not None
    assert (iteration.weight.grad - reference[1]).norm() <= 1e-8 * reference[1].norm()
    assert max(solution.iterations) < 25


def taped_bytes(gradient: Gradient, steps: int) -> int:
    """Bytes that automatic differentiation keeps for the backward pass."""
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    iteration = Contraction()
    y = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        solve(Problem(Identity(), y, Squared()), iteration, stop=Stop(steps), gradient=gradient)
    return sum(kept.values())


def test_memory_is_flat_in_the_number_of_iterations() -> None:
    assert taped_bytes(Implicit(), 200) == taped_bytes(Implicit(), 10)
    assert taped_bytes(Unrolled(), 200) > 10 * taped_bytes(Unrolled(), 10)


@pytest.mark.parametrize("gradient", [Implicit(tolerance=1e-12), JacobianFree(), Phantom()])
def test_a_sample_without_a_measurement_spoils_no_gradient(gradient: Gradient) -> None:
    y = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    broken = y.clone()
    broken[1, 0, 2, 3] = torch.nan

    def gradients(measurement: Tensor, kept: list[int]) -> Tensor:
        iteration = Contraction()
        problem = Problem(Identity(), measurement, Squared())
        solution = solve(problem, iteration, stop=Stop(200, [FixedPointResidual(1e-13)]), gradient=gradient)
        solution.x[kept].square().sum().backward()
        assert iteration.weight.grad is not None
        return iteration.weight.grad

    torch.testing.assert_close(gradients(broken, [0, 2]), gradients(y[[0, 2]], [0, 1]), rtol=1e-8, atol=1e-10)
