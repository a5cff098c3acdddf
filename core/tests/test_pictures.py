"""Tensors as pictures: what is shown, how it is shrunk, windowed and cut; and what is said of arrays in files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from wellposed.cli.describe import _plain
from wellposed.files.describe import ArrayInfo
from wellposed.report.picture import (
    DECADES,
    Picture,
    image_values,
    measurement_values,
    palette,
    region_within,
    shared_window,
    telling_region,
    window_of,
)


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


@pytest.mark.parametrize(("width", "shown"), [(768, 768), (769, 384), (1536, 768), (1537, 512)])
def test_large_pictures_are_averaged_over_whole_blocks(width: int, shown: int) -> None:
    values = ramp(6, width)
    small = Picture(values, (0.0, 1.0)).shrunk()
    factor = -(-width // 768)
    assert (small.height, small.width) == (6 // factor, shown)
    assert small.values[0, 0] == values[:factor, :factor].mean()
    row, column = 6 // factor - 1, shown - 1
    last = values[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
    assert small.values[-1, -1] == last.mean()
    colours = Picture(ramp(4, 4, 3), (0.0, 1.0)).shrunk(2)
    np.testing.assert_array_equal(colours.values[0, 0], ramp(4, 4, 3)[:2, :2].mean(axis=(0, 1)))


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png())).convert("RGB"))


def test_values_are_windowed_clipped_and_nothing_is_black() -> None:
    values = np.array([[-1.0, 0.0, 1.0, 2.0, 3.0], [np.nan, np.inf, -np.inf, 0.5, 1.5]])
    found = pixels(Picture(values, (0.0, 2.0)))[..., 0]
    assert found.tolist() == [[0, 0, 128, 255, 255], [0, 255, 0, 64, 191]]
    assert not pixels(Picture(values, (1.0, 1.0)))[0].any()
    coloured = pixels(Picture(np.array([[0.0, 1.0]]), (0.0, 1.0), "viridis"))
    np.testing.assert_array_equal(coloured[0], palette("viridis")[[0, 255]])
    np.testing.assert_array_equal(palette("no such map"), palette("gray"))
    assert palette("gray")[128].tolist() == [128, 128, 128]
    rgb = pixels(Picture(np.array([[[0.0, 0.5, 1.0]]]), (0.0, 1.0)))
    assert rgb.tolist() == [[[0, 128, 255]]]


def test_what_is_shown_of_an_image() -> None:
    generator = torch.Generator().manual_seed(0)
    gray = torch.randn(1, 4, 5, generator=generator)
    np.testing.assert_allclose(image_values(gray), gray[0].numpy())
    np.testing.assert_allclose(image_values(gray + 1j * gray), 2**0.5 * gray[0].abs().numpy(), rtol=1e-6)
    coils = torch.randn(3, 4, 5, dtype=torch.complex64, generator=generator)
    np.testing.assert_allclose(image_values(coils), coils.abs().square().sum(0).sqrt().numpy(), rtol=1e-6)
    colours = torch.rand(3, 4, 5, generator=generator)
    np.testing.assert_allclose(image_values(colours), colours.permute(1, 2, 0).numpy())
    two = torch.rand(2, 4, 5, generator=generator)
    np.testing.assert_allclose(image_values(two), two[0].numpy())
    volume = torch.rand(1, 6, 4, 5, generator=generator)
    np.testing.assert_allclose(image_values(volume), volume[0, 3].numpy())
    signal = torch.rand(1, 40, generator=generator)
    strip = image_values(signal)
    assert strip.shape == (5, 40)
    np.testing.assert_allclose(strip[4], signal[0].numpy())


def test_what_is_shown_of_a_measurement() -> None:
    y = torch.tensor([[[100.0, 1.0], [1e-9, 0.0]]]) + 0j
    assert measurement_values(y).tolist() == [[0.0, pytest.approx(-2.0)], [-DECADES, -DECADES]]
    assert not measurement_values(0 * y).any()
    coils = torch.stack([3 * y[0], 4 * y[0]])
    np.testing.assert_allclose(measurement_values(coils), measurement_values(y), atol=1e-6)
    assert measurement_values(torch.ones(16)).shape == (2, 16)
    assert measurement_values(torch.ones(16) + 0j).shape == (2, 16)
    assert measurement_values(torch.arange(12.0).reshape(2, 2, 3)).tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_windows_leave_outliers_out_and_hold_something() -> None:
    values = np.linspace(0.0, 1.0, 1001)[None]
    assert window_of(values) == (0.0, 1.0)
    bright = np.append(values, [[50.0]], axis=1)
    low, high = window_of(bright)
    assert low == 0.0
    assert 0.99 < high < 1.01
    dark = np.append(values, [[-50.0]], axis=1)
    assert window_of(dark)[1] == 1.0
    assert -0.01 < window_of(dark)[0] < 0.01
    assert window_of(np.append(values, [[1.4]], axis=1))[1] == 1.4  # within half of the range
    assert window_of(values, cut=10.0) == (pytest.approx(0.1), pytest.approx(0.9))
    assert window_of(np.full((2, 2), 3.0)) == (3.0, 4.0)
    assert window_of(np.full((2, 2), np.nan)) == (0.0, 1.0)
    assert window_of(np.array([[np.inf, 1.0, 2.0]])) == (1.0, 2.0)


def test_one_window_for_all_without_what_diverged() -> None:
    small, large, wild = ramp(4, 4) / 15, 2 * ramp(4, 4) / 15 - 0.5, 100 * ramp(4, 4)
    assert shared_window(small, [wild]) == (0.0, 1.0)
    assert shared_window(None, [small, large]) == pytest.approx((-0.5, 1.5), abs=0.03)
    assert shared_window(None, [small, wild]) == pytest.approx((0.0, 1.0), abs=0.03)
    assert shared_window(None, [small, 9 * small]) == pytest.approx((0.0, 9.0), abs=0.1)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ([1, 2, 3, 4], (1, 2, 3, 4)),
        ([8, 9, 3, 4], (7, 8, 3, 4)),
        ([0, 0, 99, 99], (0, 0, 10, 12)),
        ([5, 5, 10, 2], (0, 5, 10, 2)),
    ],
)
def test_regions_are_moved_into_the_image(region: list[int], expected: tuple[int, ...]) -> None:
    assert region_within(region, np.zeros((10, 12))) == expected


def test_the_region_with_the_most_detail_is_found() -> None:
    values = np.zeros((60, 80))
    generator = np.random.default_rng(0)
    values[34:44, 50:60] = generator.random((10, 10))
    row, column, height, width = telling_region(values)
    assert height == width == round(0.28 * 60)
    assert row <= 34 <= 44 <= row + height
    assert column <= 50 <= 60 <= column + width
    assert telling_region(np.stack([values] * 3, 2)) == (row, column, height, width)
    assert telling_region(np.zeros((8, 20))) == (0, 0, 8, 20)
    values[0, 0] = np.nan
    assert telling_region(values)[0] > 0


def test_many_weak_edges_tell_more_than_a_strong_one() -> None:
    values = np.zeros((64, 64))
    values[10:20, 10:20] = 100.0  # one bright square
    values[36:52, 36:52] = np.random.default_rng(0).random((16, 16)) * 20
    row, column, side, _ = telling_region(values)
    assert row + side > 44 > row
    assert column + side > 44 > column


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (ArrayInfo("a", (3, 4), "float32"), "a: 3 × 4 float32"),
        (ArrayInfo("", (3, 4), "float32"), "3 × 4 float32"),
        (ArrayInfo("", (), "int64"), "one number int64"),
    ],
)
def test_an_array_of_a_file_in_words(info: ArrayInfo, text: str) -> None:
    assert str(info) == text


def test_defaults_as_plain_data() -> None:
    assert _plain((1, [True, None], 0.5, "x")) == [1, [True, None], 0.5, "x"]
    assert _plain(int) == repr(int)
