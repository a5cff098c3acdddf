"""The linear start: least squares, fitted once, refused where it has no meaning."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import wellposed
from wellposed.dataset import Dataset, Sample, Simulated
from wellposed.errors import CompositionError, InputError
from wellposed.operator import LinearOperator
from wellposed.testing.doubles import Bumps
from wellposed_sparse.solvers.blockwise_linear import BlockwiseLinear
from wellposed_sparse.tiles import cut, join


def training(operator: LinearOperator, count: int = 20, size: int = 8) -> Simulated:
    return Simulated(Bumps(count=count, size=size), operator).to("cpu", torch.float64)


def test_tiles_are_cut_row_by_row_and_put_together_again() -> None:
    x = torch.arange(2 * 3 * 7 * 5, dtype=torch.float64).view(2, 3, 7, 5)
    tiles = cut(x, 4)
    assert tiles.shape == (2, 2, 2, 3, 4, 4)
    assert torch.equal(tiles[1, 0, 0], x[1, :, :4, :4])
    assert torch.equal(tiles[0, 1, 1, :, :3, :1], x[0, :, 4:, 4:])
    assert not bool(tiles[:, 1, :, :, 3].any())
    assert torch.equal(join(tiles, (7, 5)), x)


def test_it_is_the_least_squares_fit_of_blocks_to_measurements(blocks: LinearOperator) -> None:
    data = training(blocks)
    solver = BlockwiseLinear(block=4, rows=8).double()
    solver.prepare(data)
    samples = [data[i] for i in range(len(data))]
    x = torch.cat([cut(s.truth[None], 4).reshape(-1, 16) for s in samples if s.truth is not None])
    y = torch.cat([s.measurement for s in samples if s.measurement is not None])
    best = torch.linalg.lstsq(y, x).solution.T
    assert torch.allclose(solver.matrix, best, atol=1e-8)
    first = samples[0].measurement
    assert first is not None
    image = solver(first[None], blocks)
    assert torch.allclose(cut(image, 4).reshape(-1, 16), first @ best.T, atol=1e-8)


def test_it_fits_the_images_better_than_backprojection(blocks: LinearOperator) -> None:
    solver = BlockwiseLinear(block=4, rows=8).double()
    solver.prepare(training(blocks))
    test = Simulated(Bumps(count=5, seed=9), blocks).to("cpu", torch.float64)
    errors = torch.zeros(2, dtype=torch.float64)
    for i in range(5):
        sample = test[i]
        assert sample.measurement is not None
        for k, image in enumerate((solver(sample.measurement[None], blocks), blocks.adjoint(sample.measurement[None]))):
            errors[k] += (image - sample.truth).square().sum()
    assert errors[0] < 0.1 * errors[1]


def test_a_fit_that_is_there_is_kept(blocks: LinearOperator) -> None:
    solver = BlockwiseLinear(block=4, rows=8).double()
    solver.prepare(training(blocks))
    fitted = solver.matrix.clone()
    solver.prepare(training(blocks, 3))
    assert torch.equal(solver.matrix, fitted)


def test_it_fits_images_of_any_size_with_padding(blocks: LinearOperator) -> None:
    data = training(blocks, size=10)
    sample = data[0]
    assert sample.operator is not None
    assert sample.measurement is not None
    assert sample.measurement.shape == (9, 8)
    solver = BlockwiseLinear(block=4, rows=8).double()
    solver.prepare(data)
    assert solver(sample.measurement[None], sample.operator).shape == (1, 1, 10, 10)


def test_before_it_was_fitted_and_for_other_operators_it_says_so(blocks: LinearOperator, dense: LinearOperator) -> None:
    solver = BlockwiseLinear(block=4, rows=8).double()
    y = blocks(torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    with pytest.raises(InputError, match="not fitted yet"):
        solver(y, blocks)
    solver.check(solver.pose(y, blocks))  # it will be, when it is trained
    for other in (BlockwiseLinear(block=4, rows=9), BlockwiseLinear(block=8, rows=8)):
        with pytest.raises(CompositionError, match="block-compressed-sensing fits"):
            other.double()(y, blocks)
    with pytest.raises(CompositionError, match="block-compressed-sensing fits"):
        solver(dense(torch.zeros(1, 1, 20, dtype=torch.float64)), dense)


def test_samples_without_a_measurement_are_told() -> None:
    with pytest.raises(InputError, match="fitted to pairs"):
        BlockwiseLinear(block=4, rows=8).prepare(Bumps())


class Noisy(Dataset):
    """Images that cannot be told from their measurements' noise."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator

    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        x: Tensor = torch.randn(1, 8, 8, generator=generator, dtype=torch.float64)
        noise = torch.randn(4, 8, generator=generator, dtype=torch.float64)
        return Sample(str(index), x, self.operator(x[None])[0] + noise, self.operator)


def test_noise_shrinks_the_fit(blocks: LinearOperator) -> None:
    """For white images and noise of the same power it is half the adjoint."""
    solver = BlockwiseLinear(block=4, rows=8).double()
    solver.prepare(Noisy(blocks))
    phi = wellposed.component("operators", "block-compressed-sensing")((4, 4), block=4, ratio=0.5).double()
    eye = torch.eye(8, dtype=torch.float64)[:, None]
    half = 0.5 * phi.adjoint(eye).flatten(1).T
    assert float((solver.matrix - half).norm() / half.norm()) < 0.15


def test_a_fit_with_a_zero_in_it_is_a_fit(blocks: LinearOperator) -> None:
    solver = BlockwiseLinear(block=4, rows=8).double()
    assert not solver.fitted
    solver.matrix[3, 2] = 0.5
    assert solver.fitted
    before = solver.matrix.clone()
    solver.prepare(training(blocks))
    assert torch.equal(solver.matrix, before)


@pytest.mark.parametrize("numbers", [{"block": 0}, {"rows": 0}])
def test_sizes_of_nothing_are_refused(numbers: dict) -> None:
    with pytest.raises(InputError, match="block ≥ 1 and rows ≥ 1"):
        BlockwiseLinear(**numbers)
    assert BlockwiseLinear(1, 1).matrix.shape == (1, 1)
