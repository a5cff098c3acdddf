"""Augmented images against the motion written out: each draw has its own effect, of the size that was asked for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wellposed import Dataset, InputError, Sample
from wellposed.dataset import generator_of
from wellposed_physics.datasets.augmented import Augmented

ROWS, COLUMNS = 48, 64


def bump(row: float, column: float, width: float = 0.12) -> Tensor:
    """A Gaussian around a place in coordinates from −1 to 1 of each side, `width` of half the rows."""
    y = (2 * torch.arange(ROWS, dtype=torch.float64) + 1) / ROWS - 1
    x = (2 * torch.arange(COLUMNS, dtype=torch.float64) + 1) / COLUMNS - 1
    distance = (y[:, None] - row) ** 2 + ((x[None] - column) * COLUMNS / ROWS) ** 2
    return torch.exp(-distance / (2 * width**2))[None]


class One(Dataset):
    def __init__(self, *images: Tensor) -> None:
        self.images = images
        self.reads: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        self.reads.append(index)
        return Sample(f"image-{index}", self.images[index])


def draws(index: int, seed: int = 0) -> list[float]:
    """The numbers in [−1, 1) of a sample."""
    numbers = torch.rand(8, generator=generator_of(seed, index), dtype=torch.float64)
    return [2 * float(n) - 1 for n in numbers]


def moved(image: Tensor, index: int, **settings: object) -> Tensor:
    found = Augmented(One(image), length=index + 1, **settings)[index].truth  # type: ignore[arg-type]
    assert found is not None
    return found


def centre(image: Tensor) -> tuple[float, float, float]:
    """Centroid in coordinates from −1 to 1, and the radius of gyration in half rows."""
    y = (2 * torch.arange(ROWS, dtype=torch.float64) + 1) / ROWS - 1
    x = (2 * torch.arange(COLUMNS, dtype=torch.float64) + 1) / COLUMNS - 1
    mass = image[0] / image.sum()
    row, column = float((mass.sum(1) * y).sum()), float((mass.sum(0) * x).sum())
    spread = (y[:, None] - row) ** 2 + ((x[None] - column) * COLUMNS / ROWS) ** 2
    return row, column, float((mass * spread).sum()) ** 0.5


INDICES = pytest.mark.parametrize("index", [0, 1, 2, 3])


@INDICES
def test_a_shift_is_a_part_of_each_side(index: int) -> None:
    """`u'(p) = u(p + b)`: the image moves by `−b`, at most `shift` of the side, which is `2·shift` of −1 to 1."""
    u = draws(index)
    row, column, width = centre(moved(bump(0.0, 0.0), index, shift=0.1))
    assert row == pytest.approx(-2 * 0.1 * u[4], abs=2e-3)
    assert column == pytest.approx(-2 * 0.1 * u[3], abs=2e-3)
    assert width == pytest.approx(centre(bump(0.0, 0.0))[2], rel=0.02)


@INDICES
def test_a_rotation_keeps_distances_in_pixels(index: int) -> None:
    angle = math.radians(30 * draws(index)[0])
    row, column, width = centre(moved(bump(0.0, 0.4), index, rotation=30.0))
    aspect = COLUMNS / ROWS
    # M turns by `angle`, so the image turns by its inverse.
    assert column * aspect == pytest.approx(0.4 * aspect * math.cos(angle), abs=4e-3)
    assert row == pytest.approx(-0.4 * aspect * math.sin(angle), abs=4e-3)
    assert width == pytest.approx(centre(bump(0.0, 0.4))[2], rel=0.02)


@INDICES
def test_a_change_of_size_is_about_the_centre(index: int) -> None:
    factor = 1 + 0.2 * draws(index)[1]
    row, column, width = centre(moved(bump(0.2, 0.3), index, scale=0.2))
    assert row == pytest.approx(0.2 * factor, abs=3e-3)
    assert column == pytest.approx(0.3 * factor, abs=3e-3)
    assert width == pytest.approx(factor * centre(bump(0.2, 0.3))[2], rel=0.03)


@INDICES
def test_a_mirror_image_every_other_time(index: int) -> None:
    sign = -1 if draws(index)[2] < 0 else 1
    row, column, _ = centre(moved(bump(0.2, 0.3), index, flip=True))
    assert (row, column) == (pytest.approx(0.2, abs=2e-3), pytest.approx(sign * 0.3, abs=2e-3))


@INDICES
def test_brightness_and_exponent(index: int) -> None:
    u, image = draws(index), 0.1 + 0.9 * bump(0.1, -0.2, 0.4)
    torch.testing.assert_close(moved(image, index, intensity=0.3), image * (1 + 0.3 * u[5]))
    torch.testing.assert_close(moved(image, index, gamma=0.5), image ** (1.5 ** u[6]))


def test_mirror_and_rotation_together() -> None:
    """`M` is the rotation after the mirror: the place is turned back, then mirrored."""
    for index in range(4):
        u = draws(index)
        angle, sign, aspect = math.radians(20 * u[0]), -1 if u[2] < 0 else 1, COLUMNS / ROWS
        row, column, _ = centre(moved(bump(0.1, 0.3), index, rotation=20.0, flip=True))
        # p = M q in pixels of the output place q: (x, y) = (sign·(c x' − s y'), s x' + c y').
        x, y = sign * column * aspect, row
        found = (math.cos(angle) * sign * x - math.sin(angle) * y, math.sin(angle) * sign * x + math.cos(angle) * y)
        assert found == (pytest.approx(sign * 0.3 * aspect, abs=8e-3), pytest.approx(0.1, abs=8e-3))


def test_resizing_keeps_the_mean_and_comes_last() -> None:
    image = bump(0.1, 0.2, 0.3)
    small = moved(image, 0, size=12)
    assert small.shape == (1, 12, 12)
    torch.testing.assert_close(small.mean(), image.mean(), rtol=1e-2, atol=0)
    assert moved(image, 0, size=1).shape == (1, 1, 1)


def test_outside_is_zero() -> None:
    image = torch.ones(1, ROWS, COLUMNS, dtype=torch.float64)
    u = draws(1)
    shifted = moved(image, 1, shift=0.4)
    expected = (1 - 0.4 * abs(u[3])) * (1 - 0.4 * abs(u[4]))
    assert float(shifted.mean()) == pytest.approx(expected, abs=1e-2)


def test_samples_are_of_all_images_in_turn_and_each_image_is_read_once() -> None:
    data = One(bump(0.0, 0.0), 0.5 * bump(0.0, 0.0))
    variants = Augmented(data, 5, intensity=0.1, seed=2)
    names = [variants[i].name for i in range(5)]
    assert names == ["image-0#0", "image-1#0", "image-0#1", "image-1#1", "image-0#2"]
    peaks = [float(variants[i].truth.max()) for i in range(5)]  # type: ignore[union-attr]
    whole = float(bump(0.0, 0.0).max())
    for i, peak in enumerate(peaks):
        assert peak == pytest.approx((0.5 if i % 2 else 1.0) * whole * (1 + 0.1 * draws(i, 2)[5]))
    assert data.reads == [0, 1]
    assert len(Augmented(data)) == 2
    assert len(variants) == 5
    with pytest.raises(IndexError):
        variants[5]


def test_the_images_are_not_changed() -> None:
    image = bump(0.0, 0.0)
    before = image.clone()
    moved(image, 0, intensity=0.5, gamma=0.1)
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shift": 1.0}, "0 ≤ shift < 1"),
        ({"shift": -0.1}, "0 ≤ shift < 1"),
        ({"scale": 1.0}, "0 ≤ scale < 1"),
        ({"intensity": 1.0}, "0 ≤ intensity < 1"),
        ({"length": 0}, "length ≥ 1"),
        ({"size": 0}, "size ≥ 1"),
        ({"rotation": -1.0}, "rotation and gamma ≥ 0"),
        ({"gamma": -1.0}, "rotation and gamma ≥ 0"),
    ],
)
def test_numbers_out_of_range(settings: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Augmented(One(bump(0.0, 0.0)), **settings)


def test_images_that_cannot_be_moved() -> None:
    for image in (torch.ones(1, 3, 3, dtype=torch.complex64), torch.ones(3, 3), torch.ones(1, 2, 3, 3)):
        with pytest.raises(InputError, match=r"moves real images \(C, H, W\); sample image-0 is none"):
            Augmented(One(image))[0]
    one_negative = bump(0.0, 0.0)
    one_negative[0, 3, 4] = -1e-9
    with pytest.raises(InputError, match="powers of nonnegative images alone"):
        Augmented(One(one_negative), gamma=0.1)[0]
    assert Augmented(One(one_negative), intensity=0.1)[0].truth is not None
