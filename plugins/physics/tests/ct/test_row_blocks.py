"""Blocks of views: they partition the scan, compute their own views alone, and give what SART needs."""

from __future__ import annotations

import pytest
import torch

from wellposed.errors import InputError
from wellposed_physics.ct.fan_beam import FanBeam
from wellposed_physics.ct.parallel_beam import ParallelBeam
from wellposed_physics.ct.tomography import column_sums, row_sums


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["parallel", "fan"])
def operator(request):
    if request.param == "parallel":
        return ParallelBeam((24, 24), 24, channels=2).double()
    return FanBeam((24, 20), 24, 60.0, 90.0).double()


@pytest.mark.parametrize("count", [1, 4, 5, 24])
def test_blocks_are_interleaved_views(operator, count):
    x, y = normal(3, *operator.domain.shape), normal(3, *operator.range.shape, seed=1)
    whole = operator(x)
    blocks = operator.row_blocks(count)
    for number, block in enumerate(blocks):
        assert block.index.tolist() == list(range(number, 24, count))
        torch.testing.assert_close(block(x), whole[:, :, number::count], rtol=1e-11, atol=1e-11)
        assert torch.equal(block.restrict(y), y[:, :, number::count])
        gap = (block(x) * block.restrict(y)).sum() - (x * block.adjoint(block.restrict(y))).sum()
        assert abs(float(gap)) <= 1e-12 * float(block(x).norm() * y.norm())
    total = sum(block.adjoint(block.restrict(y)) for block in blocks)
    torch.testing.assert_close(total, operator.adjoint(y), rtol=1e-11, atol=1e-11)


def test_blocks_are_kept_and_follow_the_precision():
    operator = ParallelBeam((16, 16), 12)
    assert operator.row_blocks(3) is operator.row_blocks(3)
    single = operator.row_blocks(3)[0]
    double = operator.double().row_blocks(3)[0]
    assert double is not single
    assert double(torch.ones(1, 1, 16, 16, dtype=torch.float64)).dtype == torch.float64


def test_blocks_compute_their_own_views_alone():
    operator = ParallelBeam((64, 64), 60, first=0.3, arc=2.0)
    whole = operator.projector.engine.stored_bytes
    blocks = [block.projector.engine.stored_bytes for block in operator.row_blocks(10)]
    assert max(blocks) <= 0.13 * whole


def test_norm_of_a_block_is_at_most_that_of_the_whole(operator):
    assert operator.row_blocks(4)[1].norm() <= operator.norm() * (1 + 1e-6)


def test_more_blocks_than_views_are_refused(operator):
    with pytest.raises(InputError, match="1 to 24"):
        operator.row_blocks(25)


def test_row_sums_are_the_lengths_of_the_lines_in_the_image():
    operator = ParallelBeam((30, 30), [0.0, 90.0, 45.0], bins=31, unit="degree", pixel_size=0.5).double()
    sums = row_sums(operator)[0, 0]
    torch.testing.assert_close(sums[0, 1:-1], torch.full((29,), 15.0, dtype=torch.float64))
    assert float(sums[2, 15]) == pytest.approx(15 * 2**0.5)


def test_column_sums_weigh_each_pixel_by_the_lines_through_it(operator):
    torch.testing.assert_close(column_sums(operator), operator.adjoint(torch.ones(1, *operator.range.shape).double()))
    block_sums = [column_sums(block) for block in operator.row_blocks(4)]
    torch.testing.assert_close(sum(block_sums), column_sums(operator))
    assert column_sums(operator).dtype == torch.float64


def test_sart_sweep_over_blocks_converges(bumps):
    """One relaxed sweep after another lowers the residual of consistent data to nothing."""
    operator = ParallelBeam((24, 24), 40).double()
    truth = bumps.image(24)
    y = operator(truth)
    blocks = operator.row_blocks(8)
    x = torch.zeros_like(truth)
    for _ in range(30):
        for block in blocks:
            residual = (block.restrict(y) - block(x)) / row_sums(block).clamp(min=1e-3)
            x = x + block.adjoint(residual) / column_sums(block)
    assert float((x - truth).norm() / truth.norm()) < 0.03
