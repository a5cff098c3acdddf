from __future__ import annotations

import pytest
import torch

from wellposed.errors import InputError
from wellposed_physics.mri.masks import (
    CartesianMask,
    FullMask,
    RadialMask,
    RandomMask,
    central_square,
    radius,
)
from wellposed_physics.mri.poisson_disc import PoissonDiscMask

SIZES = [(256, 256), (320, 168), (127, 64)]
MASKS = [
    (CartesianMask(4.0), 0.25),
    (CartesianMask(2.0, 0.2, axis=0, density=0.0), 0.5),
    (RandomMask(0.1), 0.1),
    (RandomMask(0.25, 16), 0.25),
    (RadialMask(ratio=0.1), 0.1),
    (RadialMask(ratio=0.5), 0.5),
    (PoissonDiscMask(0.125), 0.125),
    (PoissonDiscMask(0.3, 0, growth=0.0), 0.3),
    (FullMask(), 1.0),
]


@pytest.mark.parametrize(("pattern", "ratio"), MASKS, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("size", SIZES)
def test_ratio_dtype_and_reproducibility(pattern, ratio, size):
    mask = pattern(size)
    assert mask.shape == size
    assert mask.dtype == torch.bool
    lines = min(size) if isinstance(pattern, CartesianMask) else size[0] * size[1]
    assert float(mask.double().mean()) == pytest.approx(ratio, abs=max(0.5 / lines, 1e-4))
    assert torch.equal(mask, pattern(size))


@pytest.mark.parametrize("make", [lambda s: CartesianMask(seed=s), lambda s: RandomMask(0.3, seed=s),
                                  lambda s: PoissonDiscMask(0.3, seed=s)])  # fmt: skip
def test_seeds_differ(make):
    assert not torch.equal(make(0)((64, 64)), make(1)((64, 64)))


def test_cartesian_lines_and_centre():
    mask = CartesianMask(4.0, 0.08)((100, 200))
    assert torch.equal(mask.all(0), mask.any(0))
    assert bool(mask[0, 92:108].all())
    assert bool(CartesianMask(4.0, axis=0)((100, 200))[:, 0].equal(CartesianMask(4.0)((200, 100))[0]))


def test_density_draws_to_the_centre():
    size = (128, 128)
    distance = radius(size)
    uniform, dense = RandomMask(0.2, density=0.0)(size), RandomMask(0.2, density=4.0)(size)
    assert float(distance[uniform].mean()) == pytest.approx(float(distance.mean()), rel=0.03)
    assert float(distance[dense].mean()) < 0.7 * float(distance[uniform].mean())


@pytest.mark.parametrize("size", [(64, 64), (63, 40)])
@pytest.mark.parametrize("make", [RandomMask, PoissonDiscMask])
def test_calibration_square_is_kept_around_dc(make, size):
    mask = make(0.3, calibration=12)(size)
    row, column = size[0] // 2, size[1] // 2
    assert bool(mask[row - 6 : row + 6, column - 6 : column + 6].all())


def test_radial_lines():
    mask = RadialMask(lines=4)((65, 65))
    expected = torch.zeros(65, 65, dtype=torch.bool)
    i = torch.arange(65)
    expected[32], expected[:, 32], expected[i, i], expected[i, 64 - i] = True, True, True, True
    # The first and last of an odd number of steps round to the border alike on both sides or just inside.
    assert int((mask ^ expected).sum()) <= 8
    assert bool(mask[32, 32])
    assert not (mask & ~expected).any()


def test_radial_spokes_have_no_gaps():
    mask = RadialMask(lines=7)((64, 64))
    assert bool(mask.any(0).all())
    assert bool(mask.any(1).all())
    assert bool(mask[32].all())
    assert bool(mask[28:37, 28:37].double().mean() > 0.6)


@pytest.mark.parametrize("growth", [0.0, 3.0])
def test_poisson_disc_points_keep_their_distance(growth):
    size = (96, 80)
    mask = PoissonDiscMask(0.1, 8, growth)(size) & ~central_square(size, 8)
    points = mask.nonzero().double()
    need = 1 + growth * radius(size)[mask]
    apart = torch.cdist(points, points) + 1e9 * torch.eye(len(points)).double()
    scale = float((apart / torch.minimum(need[:, None], need)).min())
    # At this spacing the densest packing has `cell` points, darts thrown on a grid some 40 to 60 % of
    # that, and independent points 8 %.
    cell = float((1 / (scale * (1 + growth * radius(size))) ** 2).sum()) * 1.1547
    assert 0.35 * cell < len(points) < cell


def test_requests_that_cannot_be_met_are_told():
    with pytest.raises(InputError, match="fewer than the 20 of its centre"):
        CartesianMask(8.0, 0.2)((64, 100))
    with pytest.raises(InputError, match="calibration square"):
        RandomMask(0.01, 20)((64, 64))
    with pytest.raises(InputError, match="calibration square"):
        PoissonDiscMask(0.01, 20)((64, 64))
    with pytest.raises(InputError, match="either lines"):
        RadialMask()
    with pytest.raises(InputError, match="either lines"):
        RadialMask(4, 0.5)
    for make in (lambda: CartesianMask(0.5), lambda: CartesianMask(axis=2), lambda: RandomMask(0.0),
                 lambda: RandomMask(0.5, -1), lambda: CartesianMask(density=-1.0)):  # fmt: skip
        with pytest.raises(InputError):
            make()


@pytest.mark.parametrize("lines", [63, 64])
def test_lines_thin_out_on_both_sides_alike(lines):
    """Over many seeds each line is kept as often as its mirror image about DC, and outer ones less often."""
    kept = torch.stack([CartesianMask(4.0, 0.05, density=2.0, seed=s)((4, lines))[0] for s in range(400)])
    often = kept.double().mean(0)
    centre = lines // 2
    left, right = often[centre - 31 : centre].flip(0), often[centre + 1 : centre + 32]
    size = min(len(left), len(right))
    assert float((left[:size] - right[:size]).abs().max()) < 0.15  # six standard deviations
    assert abs(float(left[:size].mean() - right[:size].mean())) < 0.02
    third = size // 3
    for side in (left, right):
        assert float(side[2:third].mean()) > 1.5 * float(side[third : 2 * third].mean())
        assert float(side[third : 2 * third].mean()) > 1.5 * float(side[2 * third : size].mean())
    assert bool(kept[:, centre].all())


@pytest.mark.parametrize(("size", "ratio"), [((64, 64), 0.1), ((64, 48), 0.3), ((33, 40), 0.5)])
def test_as_many_spokes_are_laid_as_it_takes(size, ratio):
    count = round(ratio * size[0] * size[1])
    lines = next(n for n in range(1, 200) if int(RadialMask(lines=n)(size).sum()) >= count)
    mask = RadialMask(ratio=ratio)(size)
    spokes = RadialMask(lines=lines)(size)
    assert int(mask.sum()) == count
    assert not bool((mask & ~spokes).any())
