"""The learned proximal gradient: equivariance of whole reconstructions, export, weights and refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from wellposed import CompositionError, InputError, LinearOperator, Space, component
from wellposed.testing.doubles import QuadraticFidelity
from wellposed.weights import load_weights, save_weights
from wellposed_equivariant.iterations.learned_proximal_gradient import LearnedProximalGradientSteps
from wellposed_equivariant.networks.cyclic import CyclicProximal
from wellposed_equivariant.networks.proximal import OrdinaryProximal
from wellposed_equivariant.solvers.equivariant_proximal_gradient import EquivariantProximalGradient
from wellposed_equivariant.solvers.learned_proximal_gradient import LearnedProximalGradient

SIZE = 16


class Identity(LinearOperator):
    """Denoising."""

    def __init__(self, dtype: torch.dtype = torch.float32, channels: int = 1) -> None:
        super().__init__(Space((channels, SIZE, SIZE), dtype), Space((channels, SIZE, SIZE), dtype))

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.clone()

    def _norm(self) -> float:
        return 1.0


def shaken(solver: nn.Module, seed: int = 1) -> None:
    """Every parameter drawn anew: residual blocks begin with zeros, which hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in solver.parameters():
            parameter.normal_(0, 0.15, generator=generator)


def equivariant(**settings: object) -> EquivariantProximalGradient:
    order = settings.pop("order", 4)
    network = CyclicProximal(order=order, fields=3)  # type: ignore[arg-type]
    solver = EquivariantProximalGradient(steps=4, network=network, **settings)  # type: ignore[arg-type]
    shaken(solver)
    return solver


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=dtype)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().norm() / b.detach().norm())


def steps(solver: LearnedProximalGradient) -> LearnedProximalGradientSteps:
    assert isinstance(solver.iteration, LearnedProximalGradientSteps)
    return solver.iteration


def weights(solver: LearnedProximalGradient) -> list[Tensor]:
    """The first weights of each step."""
    return [network.state_dict()["lift.weight"] for network in steps(solver).proximal]


def turn(x: Tensor, quarters: int) -> Tensor:
    return x.rot90(quarters, (-2, -1))


# Whole reconstructions -----------------------------------------------------------------------------


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("order", [4, 8])
def test_denoising_turns_with_the_image(order: int, quarters: int) -> None:
    solver, y = equivariant(order=order), noise(2, 1, SIZE, SIZE)
    assert relative(solver(turn(y, quarters), Identity()), turn(solver(y, Identity()), quarters)) < 1e-5


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("order", [4, 8])
def test_tomography_turns_with_the_image(order: int, quarters: int) -> None:
    """Views over half a turn are the same views after a quarter turn: shifted, and mirrored where they pass it."""
    operator = component("operators", "parallel-beam")((SIZE, SIZE), 10)
    solver, image = equivariant(order=order), noise(2, 1, SIZE, SIZE)
    y = operator(image) + 0.1 * noise(2, *operator.range.shape)
    moved = turned_sinogram(y, quarters)
    torch.testing.assert_close(turned_sinogram(operator(image), quarters), operator(turn(image, quarters)))
    assert relative(solver(moved, operator), turn(solver(y, operator), quarters)) < 1e-5


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_magnetic_resonance_turns_with_image_and_mask(quarters: int) -> None:
    """k-space is that of the turned image; the mask is turned as well, so the operator is another one."""
    fourier = component("operators", "fourier")
    mask = component("patterns", "random-mask")(0.4, 4)((SIZE, SIZE))
    x = noise(2, 1, SIZE, SIZE, dtype=torch.complex64)
    full = fourier((SIZE, SIZE))
    operator = fourier((SIZE, SIZE), mask=mask)
    turned_mask = turned_spectrum(mask.float(), quarters) > 0.5
    solver = equivariant(image_channels=2, operators="any")
    noisy = x + 0.1 * noise(2, 1, SIZE, SIZE, dtype=torch.complex64).flip(-1)
    moved_y = full(turn(noisy, quarters)) * turned_mask
    moved = solver(moved_y, fourier((SIZE, SIZE), mask=turned_mask))
    assert relative(moved, turn(solver(full(noisy) * mask, operator), quarters)) < 1e-5


@pytest.mark.parametrize("views", [9, 11, 361])
def test_scans_that_do_not_turn_are_refused_unless_asked_for(views: int) -> None:
    """An odd number of views over half a turn is another set of views after a quarter turn."""
    operator = component("operators", "parallel-beam")((SIZE, SIZE), views)
    y = noise(1, *operator.range.shape)
    with pytest.raises(CompositionError, match="after a quarter turn A\\*A of ParallelBeam differs by"):
        equivariant()(y, operator)
    anyhow = equivariant(operators="any")
    assert anyhow(y, operator).shape == (1, 1, SIZE, SIZE)
    assert not anyhow.equivariances
    assert equivariant(order=6)(y, operator).shape == (1, 1, SIZE, SIZE)  # half turns, which every scan keeps
    LearnedProximalGradient(steps=1, network=OrdinaryProximal(width=2))(y, operator)


def test_the_error_of_a_scan_with_an_odd_number_of_views_is_what_the_refusal_says() -> None:
    """What went wrong without a word: the same network and weights on an odd and on an even number of views."""
    beam = component("operators", "parallel-beam")
    errors = {}
    for views in (10, 11):
        operator = beam((SIZE, SIZE), views)
        solver, image = equivariant(operators="any"), noise(1, 1, SIZE, SIZE)
        straight = turn(solver(operator(image), operator), 1)
        errors[views] = relative(solver(operator(turn(image, 1)), operator), straight)
    assert errors[10] < 1e-5
    assert errors[11] > 1e-3


def test_images_that_are_not_square_are_held_to_half_turns() -> None:
    operator = component("operators", "parallel-beam")((SIZE, 12), 9)
    assert equivariant()(noise(1, *operator.range.shape), operator).shape == (1, 1, SIZE, 12)


def test_operators_are_turning_or_any() -> None:
    with pytest.raises(InputError, match="turning, or any; not 'all'"):
        equivariant(operators="all")


def test_the_twin_does_not_turn_with_the_image() -> None:
    solver = LearnedProximalGradient(steps=4, network=OrdinaryProximal(width=12))
    shaken(solver)
    y = noise(2, 1, SIZE, SIZE)
    assert relative(solver(turn(y, 1), Identity()), turn(solver(y, Identity()), 1)) > 1e-2
    assert not solver.equivariances


def test_it_claims_the_turns_that_are_exact() -> None:
    claims = {n: EquivariantProximalGradient(1, network=CyclicProximal(order=n, fields=1)) for n in (3, 4, 6, 8)}
    assert {n: set(s.equivariances) for n, s in claims.items()} == {3: set(), 4: {"c4"}, 6: {"c2"}, 8: {"c4"}}


def turned_sinogram(y: Tensor, quarters: int) -> Tensor:
    """The measurement of the turned image: views at a + 90°; those beyond 180° are mirrored ones of a − 90°."""
    for _ in range(quarters % 4):
        half = y.shape[-2] // 2
        y = torch.cat([y[..., half:, :].flip(-1), y[..., :half, :]], -2)
    return y


def turned_spectrum(k: Tensor, quarters: int) -> Tensor:
    """Turned about DC at `(N/2, N/2)` of an even grid, where the outermost frequency is its own negative."""
    corner = torch.fft.ifftshift(k, dim=(-2, -1))
    moved = torch.roll(turn(corner, quarters), *{1: ((1, 0),), 2: ((1, 1),), 3: ((0, 1),)}[quarters], (-2, -1))
    return torch.fft.fftshift(moved, dim=(-2, -1))


# The iteration -------------------------------------------------------------------------------------


def test_a_step_is_the_one_of_the_paper() -> None:
    """(x, s) ← P_k(x, ∇E(x)/‖A‖², s), written out."""
    solver = equivariant(memory=2)
    operator, y = 2.0 * Identity(), noise(1, 1, SIZE, SIZE)
    x, s = torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, 2, SIZE, SIZE)
    for network in steps(solver).proximal:
        gradient = 2 * (2 * x - y) / 4
        out = network(torch.cat([x, gradient, s], 1))
        x, s = out[:, :1], out[:, 1:]
    torch.testing.assert_close(solver(y, operator), x)


def test_the_unit_of_length_does_not_matter() -> None:
    solver, y = equivariant(), noise(1, 1, SIZE, SIZE)
    torch.testing.assert_close(solver(3 * y, 3.0 * Identity()), solver(y, Identity()))


def test_a_stated_fidelity_takes_the_place_of_least_squares() -> None:
    plain, stated = equivariant(), equivariant(fidelity=QuadraticFidelity())
    y = noise(2, 1, SIZE, SIZE)
    torch.testing.assert_close(stated(y, Identity()), plain(y, Identity()))


def test_complex_images_are_two_channels() -> None:
    solver = equivariant(image_channels=2)
    y = noise(2, 1, SIZE, SIZE, dtype=torch.complex64)
    operator = Identity(torch.complex64)
    x = solver(y, operator)
    both = solver(torch.cat([y.real, y.imag], 1), Identity(channels=2))
    torch.testing.assert_close(torch.cat([x.real, x.imag], 1), both)


def test_it_may_start_from_another_reconstruction() -> None:
    operator = component("operators", "parallel-beam")((SIZE, SIZE), 10)
    start = component("solvers", "filtered-backprojection")()
    y = operator(noise(1, 1, SIZE, SIZE))
    first = EquivariantProximalGradient(1, network=CyclicProximal(fields=2), init=start)
    shaken(first)
    x = start(y, operator)
    gradient = operator.adjoint(operator(x) - y) / operator.norm() ** 2
    expected = steps(first).proximal[0](torch.cat([x, gradient, torch.zeros(1, 5, SIZE, SIZE)], 1))
    torch.testing.assert_close(first(y, operator), expected[:, :1])


def test_mixed_precision_stays_in_the_networks() -> None:
    solver, operator = equivariant(), Identity()
    y = noise(2, 1, SIZE, SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        x = solver(y, operator)
    assert x.dtype == torch.float32
    assert 1e-4 < relative(x, solver(y, operator)) < 0.1


def test_checkpoints_change_no_gradient() -> None:
    y = noise(1, 1, SIZE, SIZE)
    gradients = []
    for checkpoint in (False, True):
        solver = equivariant(checkpoint=checkpoint)
        solver(y, Identity()).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in solver.parameters() if p.grad is not None]))
    torch.testing.assert_close(*gradients)
    assert len(gradients[0]) == sum(p.numel() for p in equivariant().parameters())


def test_parameters_are_those_of_the_paper() -> None:
    """8 steps of 24 fields of C_4 against 96 channels: tomography, and magnetic resonance with two channels."""

    def count(solver: nn.Module) -> int:
        return sum(p.numel() for p in solver.parameters())

    assert count(EquivariantProximalGradient()) == 126_000
    assert count(LearnedProximalGradient()) == 754_992
    assert count(EquivariantProximalGradient(image_channels=2)) == 129_464
    assert count(LearnedProximalGradient(image_channels=2)) == 775_736


def test_every_step_has_initial_weights_of_its_own() -> None:
    solver = EquivariantProximalGradient(3, network=CyclicProximal(fields=2))
    first, second, third = weights(solver)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    again = EquivariantProximalGradient(3, network=CyclicProximal(fields=2))
    assert torch.equal(weights(again)[1], second)
    other = EquivariantProximalGradient(3, network=CyclicProximal(fields=2), seed=1)
    assert not any(torch.equal(a, b) for a in weights(other) for b in (first, second, third))


# Export and weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
def test_export_gives_the_twin_with_the_same_images(channels: int, tmp_path) -> None:
    solver = equivariant(image_channels=channels, seed=3)
    plain = solver.export()
    assert type(plain) is LearnedProximalGradient
    y, operator = noise(2, channels, SIZE, SIZE), Identity(channels=channels)
    assert relative(plain(y, operator), solver(y, operator)) < 1e-6
    save_weights(plain, tmp_path / "plain.safetensors")
    twin = LearnedProximalGradient(steps=4, image_channels=channels, network=OrdinaryProximal(width=12))
    load_weights(twin, str(tmp_path / "plain.safetensors"))
    assert relative(twin(y, operator), solver(y, operator)) < 1e-6


def test_export_keeps_precision_and_the_rest_of_the_solver() -> None:
    solver = equivariant(fidelity=QuadraticFidelity(), checkpoint=True).double()
    plain = solver.export()
    assert plain.gradient.checkpoint
    assert {p.dtype for p in plain.parameters()} == {torch.float64}
    assert isinstance(plain.fidelity, QuadraticFidelity)
    y = noise(1, 1, SIZE, SIZE, dtype=torch.float64)
    assert relative(plain(y, Identity()), solver(y, Identity())) < 1e-13


def test_the_equivariant_one_learns() -> None:
    """Denoising one image: the loss falls, and stays equivariant."""
    solver = EquivariantProximalGradient(2, network=CyclicProximal(fields=3))
    place = torch.linspace(0, math.pi, SIZE)
    truth = (torch.sin(place)[:, None] * torch.sin(2 * place)[None, :])[None, None]
    y = truth + 0.2 * noise(1, 1, SIZE, SIZE)
    optimizer = torch.optim.Adam(solver.parameters(), 5e-3)
    losses = []
    for _ in range(80):
        loss = (solver(y, Identity()) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert losses[-1] < 0.5 * 0.2**2  # better than the noise
    with torch.no_grad():
        assert relative(solver(turn(y, 1), Identity()), turn(solver(y, Identity()), 1)) < 1e-5


# Refusals ------------------------------------------------------------------------------------------


def test_an_ordinary_network_is_refused_where_equivariance_is_promised() -> None:
    with pytest.raises(CompositionError, match="learned-proximal-gradient"):
        EquivariantProximalGradient(network=OrdinaryProximal(width=2))


def test_images_of_another_form_are_refused_before_any_work() -> None:
    solver = equivariant()
    with pytest.raises(CompositionError, match=r"images of 1 real channels.*two real channels"):
        solver(noise(1, 1, SIZE, SIZE, dtype=torch.complex64), Identity(torch.complex64))
    with pytest.raises(CompositionError, match=r"\(2, 16, 16\)"):
        solver(noise(1, 2, SIZE, SIZE), Identity(channels=2))


@pytest.mark.parametrize("settings", [{"steps": 0}, {"memory": -1}, {"image_channels": 0}])
def test_settings_that_make_no_solver_get_a_sentence(settings: dict) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        LearnedProximalGradient(**settings)


def test_its_layers_share_all_parameters_among_them() -> None:
    iteration = LearnedProximalGradient(steps=3, network=OrdinaryProximal(width=4)).iteration
    layers = iteration.layer_parameters()
    assert len(layers) == iteration.depth == 3
    assert {id(p) for layer in layers for p in layer} == {id(p) for p in iteration.parameters()}
