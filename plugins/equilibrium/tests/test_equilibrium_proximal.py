"""The equilibrium solver as a whole: its fixed points, their certificates, and how they are differentiated."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wellposed import (
    Acceleration,
    Gradient,
    InputError,
    LinearOperator,
    Network,
    NoAcceleration,
    Solver,
    Unrolled,
    Verdict,
    component,
)
from wellposed.errors import ComponentNotFound
from wellposed_equilibrium.accelerations.anderson import Anderson
from wellposed_equilibrium.accelerations.broyden import Broyden
from wellposed_equilibrium.gradients.implicit import Implicit
from wellposed_equilibrium.gradients.jacobian_free import JacobianFree
from wellposed_equilibrium.gradients.phantom import Phantom
from wellposed_equilibrium.networks.contractive_residual import ContractiveResidual
from wellposed_equilibrium.solvers.equilibrium_proximal import EquilibriumProximal

try:
    Convolution = component("operators", "convolution")
    component("iterations", "proximal-gradient")
except ComponentNotFound as missing:
    pytest.skip(str(missing), allow_module_level=True)

SIZE = 12


def network(contraction: float = 0.9) -> ContractiveResidual:
    return ContractiveResidual(2, 4, 3, contraction=contraction, threshold=0.05)


def solver(
    contraction: float = 0.9,
    tolerance: float = 1e-13,
    gradient: Gradient | None = None,
    acceleration: Acceleration | None = None,
) -> EquilibriumProximal:
    return EquilibriumProximal(
        network(contraction), iterations=400, tolerance=tolerance, gradient=gradient, acceleration=acceleration
    ).double()


@pytest.fixture
def blur() -> LinearOperator:
    return Convolution([SIZE, SIZE], component("patterns", "gaussian-kernel")(0.8)).double()


@pytest.fixture
def y(blur: LinearOperator) -> Tensor:
    """Blurred random squares, with noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 1, 4, 4, generator=generator, dtype=torch.float64).repeat_interleave(3, 2).repeat_interleave(3, 3)
    return blur(x) + 0.01 * torch.randn(x.shape, generator=generator, dtype=torch.float64)


def truth() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 1, 4, 4, generator=generator, dtype=torch.float64)
    return x.repeat_interleave(3, 2).repeat_interleave(3, 3)


def gradients(found: Solver, y: Tensor, operator: LinearOperator) -> list[Tensor]:
    """Of a loss, in the weights and in the measurement."""
    y = y.clone().requires_grad_()
    loss = (found(y, operator) - truth()).square().sum()
    return list(torch.autograd.grad(loss, [*found.parameters(), y]))


def apart(a: list[Tensor], b: list[Tensor]) -> float:
    return float(max((u - v).norm() / v.norm() for u, v in zip(a, b, strict=True)))


# The fixed point ------------------------------------------------------------------------------------


def test_it_is_the_fixed_point_of_the_map_in_its_docstring(y: Tensor, blur: LinearOperator) -> None:
    found = solver()
    with torch.no_grad():
        solution = found.solve(found.pose(y, blur))
        x = solution.x
        image = found.regularizer.network(x - blur.adjoint(blur(x) - y) / blur.norm() ** 2)  # type: ignore[operator]
    assert all(v is Verdict.CONVERGED for v in solution.verdict)
    assert (image - x).norm() <= 1e-12 * x.norm()


def test_every_start_and_every_acceleration_ends_at_the_same_image(y: Tensor, blur: LinearOperator) -> None:
    with torch.no_grad():
        plain = solver()
        expected = plain.solve(plain.pose(y, blur)).x
        starts = (100 * torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1)), y)
        for other in (plain, solver(acceleration=Broyden())):
            for start in starts:
                x = other.solve(other.pose(y, blur), init=start).x
                assert (x - expected).norm() <= 1e-10 * expected.norm()


def test_trained_on_the_identity_it_is_a_denoiser_after_one_step(y: Tensor) -> None:
    identity = component("operators", "identity")([SIZE, SIZE]).double()
    found = solver(tolerance=1e-6)
    with torch.no_grad():
        solution = found.solve(found.pose(y, identity))
        expected = network().double()(y)
    assert max(solution.iterations) == 2  # the second one sees that nothing changes
    torch.testing.assert_close(solution.x, expected, rtol=1e-6, atol=1e-6)


def test_samples_stop_when_they_are_done(y: Tensor, blur: LinearOperator) -> None:
    found = solver(tolerance=1e-6)
    mixed = torch.cat([y[:1], torch.full_like(y[:1], 1e-3)])
    with torch.no_grad():
        together = found.solve(found.pose(mixed, blur))
        alone = [found.solve(found.pose(mixed[i : i + 1], blur)) for i in range(2)]
    assert together.iterations == tuple(s.iterations[0] for s in alone)
    assert together.iterations[0] != together.iterations[1]
    torch.testing.assert_close(together.x, torch.cat([s.x for s in alone]))


# Certificates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("contraction", [0.5, 0.9, 0.99])
def test_the_certified_distance_bounds_the_true_one(contraction: float, y: Tensor, blur: LinearOperator) -> None:
    """At whatever residual the solver stops; and it is not idle: within 1/(1 − c) of it."""
    with torch.no_grad():
        exact = solver(contraction)
        expected = exact.solve(exact.pose(y, blur)).x
        for tolerance in (0.3, 1e-2, 1e-4, 1e-8):
            rough = solver(contraction, tolerance)
            solution = rough.solve(rough.pose(y, blur))
            distance = (solution.x - expected).flatten(1).norm(dim=1)
            assert solution.bound is not None
            assert bool((distance <= solution.bound + 1e-11).all())
            assert bool((solution.bound <= 2 * tolerance / (1 - contraction) * expected.flatten(1).norm(dim=1)).all())


def test_an_asked_for_accuracy_is_certified_and_true(y: Tensor, blur: LinearOperator) -> None:
    found = solver(tolerance=1e-15)
    with torch.no_grad():
        expected = found.solve(found.pose(y, blur)).x
        solution = found.solve(found.pose(y, blur), accuracy=1e-5)
    assert all(v is Verdict.CERTIFIED for v in solution.verdict)
    assert float((solution.x - expected).flatten(1).norm(dim=1).max()) <= 1e-5


class Expanding(Network):
    """`x ↦ factor·x + 1`: no contraction, and it does not claim to be one."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x + 1


def test_divergence_has_a_verdict(y: Tensor, blur: LinearOperator) -> None:
    found = EquilibriumProximal(Expanding(1e30), iterations=400, tolerance=1e-6)
    with torch.no_grad():
        solution = found.solve(found.pose(y, blur))
    assert all(v is Verdict.DIVERGED for v in solution.verdict)
    assert bool(torch.isfinite(solution.x).all())


def test_not_converging_has_a_verdict_and_nothing_is_certified(y: Tensor, blur: LinearOperator) -> None:
    found = EquilibriumProximal(Expanding(-3.0), iterations=3, tolerance=1e-6)
    with torch.no_grad():
        solution = found.solve(found.pose(y, blur))
    assert all(v is Verdict.ITERATION_LIMIT for v in solution.verdict)
    assert solution.bound is None


# Gradients ------------------------------------------------------------------------------------------


def test_implicit_gradient_of_the_whole_equals_two_hundred_unrolled_steps(y: Tensor, blur: LinearOperator) -> None:
    found = solver(gradient=Implicit(tolerance=1e-12))
    unrolled = found.unrolled(200)
    unrolled.acceleration = NoAcceleration()
    assert isinstance(unrolled.gradient, Unrolled)
    assert apart(gradients(found, y, blur), gradients(unrolled, y, blur)) <= 1e-6


@pytest.mark.parametrize("acceleration", [Anderson(), Broyden()])
def test_accelerated_steps_can_be_unrolled(acceleration: Acceleration, y: Tensor, blur: LinearOperator) -> None:
    """The same derivative, in fewer steps: also through windows that are empty, and differences that are zero."""
    found = solver(gradient=Implicit(tolerance=1e-12), acceleration=acceleration)
    assert apart(gradients(found.unrolled(60), y, blur), gradients(found, y, blur)) <= 1e-5


def test_implicit_gradient_of_the_whole_equals_finite_differences(y: Tensor, blur: LinearOperator) -> None:
    found, h = solver(gradient=Implicit(tolerance=1e-12)), 1e-6
    exact = gradients(found, y, blur)[:-1]
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in found.parameters()]

    def loss_at(shift: float) -> float:
        moved = solver()
        with torch.no_grad():
            for p, d in zip(moved.parameters(), directions, strict=True):
                p.add_(shift * d)
            return float((moved(y, blur) - truth()).square().sum())

    slope = (loss_at(h) - loss_at(-h)) / (2 * h)
    expected = float(sum((g * d).sum() for g, d in zip(exact, directions, strict=True)))
    assert slope == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gradient", [JacobianFree, lambda: Phantom(3, 0.9)])
def test_cheap_gradients_are_ascent_directions(
    gradient: Callable[[], Gradient], y: Tensor, blur: LinearOperator
) -> None:
    exact = gradients(solver(gradient=Implicit(tolerance=1e-10)), y, blur)[:-1]
    found = solver(gradient=gradient())
    cheap = gradients(found, y, blur)[:-1]
    product = sum(float((a * b).sum()) for a, b in zip(cheap, exact, strict=True))
    lengths = [sum(float(g.square().sum()) for g in gs) ** 0.5 for gs in (cheap, exact)]
    assert product > 0.3 * lengths[0] * lengths[1]
    with torch.no_grad():
        before = (found(y, blur) - truth()).square().sum()
        for p, g in zip(found.parameters(), cheap, strict=True):
            p.sub_(1e-3 / lengths[0] * g)
        after = (found(y, blur) - truth()).square().sum()
    assert after < before


@pytest.mark.parametrize("gradient", [lambda: Implicit(tolerance=1e-3), JacobianFree, lambda: Phantom(3, 0.9)])
def test_training_lowers_the_loss(gradient: Callable[[], Gradient], y: Tensor, blur: LinearOperator) -> None:
    found = solver(0.999, tolerance=1e-4, gradient=gradient())
    optimizer = torch.optim.Adam(found.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        loss = (found(y, blur) - truth()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= 0.8 * losses[0]


def test_the_default_backward_pass_comes_through_on_an_image(caplog: pytest.LogCaptureFixture) -> None:
    """The network as it is built, a blur of 1.6 pixels, single precision: no warning at every step of a training."""
    size = 32
    operator = Convolution([size, size], component("patterns", "gaussian-kernel")(1.6))
    found = EquilibriumProximal(step_size=1.7)
    x = (
        torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        .repeat_interleave(4, 2)
        .repeat_interleave(4, 3)
    )
    with caplog.at_level(logging.WARNING):
        (found(operator(x), operator) - x).square().mean().backward()
    assert isinstance(found.gradient, Implicit)
    assert found.gradient.report is not None
    assert found.gradient.report.converged
    assert found.gradient.report.iterations <= 80  # with restarts after 5 differences it would be more
    assert not caplog.text


def taped_bytes(found: EquilibriumProximal, y: Tensor, operator: LinearOperator) -> int:
    """Bytes that automatic differentiation keeps for the backward pass of the whole solver."""
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        _ = found(y, operator)
    return sum(kept.values())


@pytest.mark.parametrize("gradient", [Implicit, JacobianFree, Phantom])
def test_memory_is_flat_in_the_number_of_iterations(
    gradient: Callable[[], Gradient], y: Tensor, blur: LinearOperator
) -> None:
    taped = []
    for iterations in (10, 200):
        found = EquilibriumProximal(network(0.999), iterations=iterations, tolerance=1e-300, gradient=gradient())
        taped.append(taped_bytes(found.double(), y, blur))
    assert taped[0] == taped[1] > 0


def test_a_backward_pass_that_stops_short_is_told(
    y: Tensor, blur: LinearOperator, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        gradients(solver(0.999, 1e-4, Implicit(tolerance=1e-12, iterations=2)), y, blur)
    assert "gradients are inexact" in caplog.text


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="iterations"):
        EquilibriumProximal(iterations=0)
    with pytest.raises(InputError, match="tolerance"):
        EquilibriumProximal(tolerance=0.0)
    with pytest.raises(InputError, match="step_size"):
        EquilibriumProximal(step_size=-1.0)
