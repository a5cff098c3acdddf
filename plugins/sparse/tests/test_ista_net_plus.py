"""ISTA-Net+: its numbers, the ISTA that it contains, its derivatives, its wish for symmetry, its start."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import wellposed
from wellposed.dataset import Simulated
from wellposed.errors import CompositionError, InputError
from wellposed.operator import LinearOperator
from wellposed.testing.doubles import Bumps
from wellposed_sparse.phases import ResidualPhase
from wellposed_sparse.solvers.blockwise_linear import BlockwiseLinear
from wellposed_sparse.solvers.ista_net_plus import ISTANetPlus


def centre(inputs: int, outputs: int, entries: dict[tuple[int, int], float]) -> Tensor:
    """A 3×3 convolution that does to each pixel the matrix of `entries`, `{(output, input): value}`."""
    weight = torch.zeros(outputs, inputs, 3, 3, dtype=torch.float64)
    for (row, column), value in entries.items():
        weight[row, column, 1, 1] = value
    return weight


def make_identity(phase: ResidualPhase, large: float) -> None:
    """Weights for which the phase is soft thresholding of the pixels, up to `threshold / large`.

    `D` gives the pixel `r` and, for the plain image that the residual form adds, `large · r`, whose threshold is
    without effect. A ReLU passes both signs of a number on two channels.
    """
    split = {(0, 0): 1.0, (1, 0): -1.0, (2, 1): 1.0, (3, 1): -1.0}
    gather = {(0, 0): 1.0, (0, 1): -1.0, (1, 2): 1.0, (1, 3): -1.0}
    with torch.no_grad():
        phase.lift.weight.copy_(centre(1, 4, {(0, 0): 1.0, (1, 0): large}))
        for transform in (phase.analysis, phase.synthesis):
            for layer, entries in ((transform[0], split), (transform[2], gather)):
                assert isinstance(layer, nn.Conv2d)
                layer.weight.copy_(centre(4, 4, entries))
        phase.project.weight.copy_(centre(4, 1, {(0, 0): 1.0, (0, 1): -1.0 / large}))


def identity_network(phases: int, step: float, threshold: float) -> ISTANetPlus:
    solver = ISTANetPlus(phases=phases, features=4).double()
    solver.iteration.step_sizes.data.fill_(step)
    for phase in solver.iteration.phases:
        assert isinstance(phase, ResidualPhase)
        phase.log_threshold.data.fill_(math.log(threshold))
        make_identity(phase, 1e6)
    return solver


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in ISTANetPlus().parameters()) == 336_978
    assert sum(p.numel() for p in ISTANetPlus(phases=1).parameters()) == 37_442
    assert not any(name.endswith("bias") for name, _ in ISTANetPlus(phases=1).named_parameters())


def test_a_threshold_stays_positive_and_learns_wherever_it_is() -> None:
    """Pushed down by a large learning rate, and then up again: a negative one would have no derivative."""
    phase = ResidualPhase(1, 4).double()
    make_identity(phase, 1e6)
    r = torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lowest = phase.threshold.item()
    for aim in (1.1, 0.2):  # more of the image than without a threshold, then less of it
        optimizer = torch.optim.Adam([phase.log_threshold], lr=1.0)
        for _ in range(8):
            optimizer.zero_grad()
            (phase(r)[0] - aim * r).square().sum().backward()
            assert phase.log_threshold.grad is not None
            assert float(phase.log_threshold.grad) != 0
            optimizer.step()
            lowest = min(lowest, phase.threshold.item())
    assert 0 < lowest < 1e-4
    assert phase.threshold.item() > 10 * lowest


def test_with_the_identity_for_a_transform_it_is_ista(blocks: LinearOperator, images: Tensor) -> None:
    component = wellposed.component
    y = blocks(images - 0.4)
    weight = 0.02
    for step in (0.5, 1.0):
        ista = wellposed.Iterative(
            component("iterations", "proximal-gradient")(step_size=step),
            component("fidelities", "l2")(),
            weight * component("regularizers", "l1")(),
            wellposed.Stop(5),
            init=component("solvers", "pseudo-inverse")(),
        )
        network = identity_network(5, step, step * weight)
        with torch.no_grad():
            x = network(y, blocks)
        assert float((x - ista(y, blocks)).abs().max()) < 1e-7
        assert float((x - blocks.pinv(y)).abs().max()) > 1e-2


def test_the_step_is_relative_to_the_norm_of_the_operator(blocks: LinearOperator, images: Tensor) -> None:
    solver = ISTANetPlus(phases=3, features=4).double()
    x = solver(blocks(images), blocks)
    assert torch.allclose(solver(7 * blocks(images), 7.0 * blocks), x, atol=1e-8)


def test_transforms_that_are_inverse_to_each_other_cost_nothing(blocks: LinearOperator, images: Tensor) -> None:
    y = blocks(images)
    _, none = identity_network(2, 0.5, 0.01).train().with_penalty(y, blocks)
    assert none is not None
    assert float(none.abs().max()) < 1e-12
    _, some = ISTANetPlus(phases=2, features=4).double().train().with_penalty(y, blocks)
    assert some is not None
    assert some.shape == (3,)
    assert float(some.min()) > 1e-6


def test_the_penalty_is_the_weighted_sum_of_mean_squares(blocks: LinearOperator, images: Tensor) -> None:
    solver = ISTANetPlus(phases=2, features=4, symmetry_weight=0.3).double().train()
    y = blocks(images)
    _, penalty = solver.with_penalty(y, blocks)
    x, expected = blocks.pinv(y), torch.zeros(3, dtype=torch.float64)
    for k, phase in enumerate(solver.iteration.phases):
        assert isinstance(phase, ResidualPhase)
        r = x - solver.iteration.step_sizes[k] * blocks.adjoint(blocks(x) - y) / blocks.norm() ** 2
        d = phase.lift(r)
        expected += 0.3 * (phase.synthesis(phase.analysis(d)) - d).square().mean((1, 2, 3))
        x, _ = phase(r)
    assert penalty is not None
    assert torch.allclose(penalty, expected, rtol=1e-10)


def test_there_is_no_penalty_without_training(blocks: LinearOperator, images: Tensor) -> None:
    solver = ISTANetPlus(phases=2, features=4).double()
    y = blocks(images)
    trained, _ = solver.train().with_penalty(y, blocks)
    x, penalty = solver.eval().with_penalty(y, blocks)
    assert penalty is None
    assert torch.equal(x, trained)


@pytest.mark.parametrize("options", [{}, {"tile": 4}, {"checkpoint": True}])
def test_derivatives_are_those_of_finite_differences(blocks: LinearOperator, images: Tensor, options: dict) -> None:
    solver = ISTANetPlus(phases=2, features=3, **options).double().train()
    y = blocks(images[:1])

    def loss() -> Tensor:
        x, penalty = solver.with_penalty(y, blocks)
        assert penalty is not None
        return (x - images[:1]).square().mean() + penalty.sum()

    loss().backward()
    generator = torch.Generator().manual_seed(0)
    for name, p in solver.named_parameters():
        direction = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                p.add_(sign * 1e-6 * direction)
                values.append(float(loss()))
                p.sub_(sign * 1e-6 * direction)
        slope = (values[0] - values[1]) / 2e-6
        assert p.grad is not None
        assert float((p.grad * direction).sum()) == pytest.approx(slope, rel=2e-5, abs=1e-9), name


def test_tiles_are_images_of_their_own(blocks: LinearOperator, images: Tensor) -> None:
    """A network that sees tiles gives each block what it gives to an image that is this block alone."""
    tiled = ISTANetPlus(phases=2, features=4, tile=4).double()
    whole = ISTANetPlus(phases=2, features=4).double()
    whole.load_state_dict(tiled.state_dict())
    one = blocks.for_shape((1, 4, 4))
    y = blocks(images)
    x = tiled(y, blocks)
    for place, (row, column) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        alone = whole(y[:, place : place + 1], one)
        assert torch.allclose(x[..., row : row + 4, column : column + 4], alone, atol=1e-12)
    assert not torch.allclose(x, whole(y, blocks), atol=1e-3)


def test_a_small_gain_leaves_the_initial_image_nearly_as_it_is(blocks: LinearOperator, images: Tensor) -> None:
    y = blocks(images)
    start = blocks.pinv(y)
    far = [
        float((ISTANetPlus(phases=3, residual_gain=gain).double()(y, blocks) - start).norm() / start.norm())
        for gain in (1.0, 1e-3)
    ]
    assert far[1] < 1e-2 < far[0]


def test_training_fits_its_start_once_and_improves_on_it(blocks: LinearOperator, tmp_path: Path) -> None:
    data = Simulated(Bumps(count=12), blocks.float())
    trainer = wellposed.component("trainers", "supervised")
    solver = ISTANetPlus(phases=2, features=8, initial=BlockwiseLinear(4, 8), residual_gain=0.01)
    start = solver.start
    assert isinstance(start, BlockwiseLinear)
    trainer(steps=40, batch=4, learning_rate=5e-3).fit(solver, data, tmp_path)
    expected = BlockwiseLinear(4, 8)
    expected.prepare(data)
    assert torch.equal(start.matrix, expected.matrix)
    errors = torch.zeros(2)
    for i in range(12):
        sample = data[i]
        assert sample.measurement is not None
        y = sample.measurement[None]
        for k, x in enumerate((start(y, blocks), solver(y, blocks))):
            errors[k] += (x.detach() - sample.truth).square().sum()
    assert errors[1] < 0.9 * errors[0]
    # A training that goes on takes the fit of its checkpoint, whatever the data are now.
    again = ISTANetPlus(phases=2, features=8, initial=BlockwiseLinear(4, 8), residual_gain=0.01)
    other = Simulated(Bumps(count=12, seed=3), blocks)
    trainer(steps=40, batch=4, learning_rate=5e-3).fit(again, other, tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), solver.state_dict().values(), strict=True)
    )


def test_mixed_precision_rounds_the_networks_alone(blocks: LinearOperator, images: Tensor) -> None:
    """Neither the operator nor the linear map that it starts from."""
    start = BlockwiseLinear(4, 8)
    start.prepare(Simulated(Bumps(count=12), blocks.float()))
    solver, y = ISTANetPlus(phases=2, features=4, initial=start), blocks(images.float())
    exact = solver(y, blocks)
    with torch.autocast("cpu", torch.bfloat16):
        assert start(y, blocks).dtype == torch.float32
        x = solver(y, blocks)
    assert x.dtype == torch.float32
    assert 0 < float((x - exact).norm() / exact.norm()) < 0.05
    x.square().sum().backward()


def test_what_does_not_fit_is_told(blocks: LinearOperator, dense: LinearOperator) -> None:
    solver = ISTANetPlus(phases=1, features=2).double()
    with pytest.raises(CompositionError, match=r"made for images of shape \(1, rows, columns\)"):
        solver(dense(torch.zeros(1, 1, 20, dtype=torch.float64)), dense)
    for numbers, match in (
        ({"phases": 0}, "phases ≥ 1"),
        ({"tile": 0}, "tile ≥ 1"),
        ({"symmetry_weight": -1.0}, "symmetry_weight ≥ 0"),
    ):
        with pytest.raises(InputError, match=match):
            ISTANetPlus(**numbers)
