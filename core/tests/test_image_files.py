"""Photographs and TIFF: palettes, modes, what cannot be mapped, and what PNG cannot hold."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wellposed.errors import InputError
from wellposed.files import images

LIMIT = 1_000_000
GRAY = (np.arange(12, dtype=np.uint8) * 20).reshape(3, 4)
COLOUR = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], -1)


def written(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def check_described(path: Path, found: np.ndarray) -> None:
    assert images.describe_image(path) == [("", found.shape, str(found.dtype))]


@pytest.mark.parametrize(
    ("mode", "array"),
    [
        ("L", GRAY),
        ("RGB", COLOUR),
        ("RGBA", np.concatenate([COLOUR, GRAY[..., None]], -1)),
        ("LA", np.stack([GRAY, 255 - GRAY], -1)),
        ("I;16", GRAY.astype(np.uint16) * 200),
    ],
)
def test_pixels_are_as_stored(tmp_path: Path, mode: str, array: np.ndarray) -> None:
    path = written(tmp_path / "p.png", Image.fromarray(array))
    with Image.open(path) as image:
        assert image.mode == mode
    found = images.read_image(path, None, LIMIT)
    np.testing.assert_array_equal(found, array)
    check_described(path, found)


@pytest.mark.parametrize(("mode", "dtype"), [("I", "int32"), ("F", "float32")])
def test_wide_pixels_keep_their_precision(tmp_path: Path, mode: str, dtype: str) -> None:
    array = (GRAY.astype(dtype) * 1000 + 1) / (1 if mode == "I" else 7)
    path = written(tmp_path / "p.tif", Image.fromarray(array.astype(dtype)))
    found = images.read_image(path, None, LIMIT)
    np.testing.assert_array_equal(found, array.astype(dtype))
    check_described(path, found)


def test_palettes_are_resolved_with_transparency_where_there_is_some(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(12)
    opaque = written(tmp_path / "opaque.png", palette)
    np.testing.assert_array_equal(images.read_image(opaque, None, LIMIT), np.asarray(palette.convert("RGB")))
    check_described(opaque, images.read_image(opaque, None, LIMIT))
    clear = written(tmp_path / "clear.png", palette, transparency=0)
    found = images.read_image(clear, None, LIMIT)
    assert found.shape == (3, 4, 4)
    assert (found[..., 3] == 0).any()
    check_described(clear, found)


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    path = written(tmp_path / "bits.png", Image.fromarray(GRAY > 100))
    found = images.read_image(path, None, LIMIT)
    np.testing.assert_array_equal(found, np.where(GRAY > 100, 255, 0))
    check_described(path, found)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_tiff_is_mapped_or_decoded(tmp_path: Path, compression: str | None) -> None:
    path = written(tmp_path / "p.tif", Image.fromarray(GRAY), compression=compression)
    found = images.read_tiff(path, None, LIMIT)
    np.testing.assert_array_equal(found, GRAY)
    assert isinstance(found, np.memmap) == (compression is None and images._tifffile() is not None)
    assert images.describe_tiff(path) == [("", (3, 4), "uint8")]


def test_tiff_without_tifffile_goes_through_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_tifffile", lambda: None)
    for array in (GRAY, GRAY / 7.0):
        stream = io.BytesIO()
        images.write_tiff(stream, array, "")
        path = tmp_path / "p.tif"
        path.write_bytes(stream.getvalue())
        found = images.read_tiff(path, None, LIMIT)
        np.testing.assert_allclose(found, array, rtol=1e-7)
        assert images.describe_tiff(path) == [("", (3, 4), "uint8" if array.dtype == np.uint8 else "float32")]


def test_tiff_holds_no_complex_numbers() -> None:
    with pytest.raises(InputError, match="real numbers; write the magnitude"):
        images.write_tiff(io.BytesIO(), GRAY * 1j, "")


def png(array: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    images.write_png(stream, array, "")
    return np.asarray(Image.open(stream))


def test_png_scales_floats_and_truth_values_and_nothing_else() -> None:
    np.testing.assert_array_equal(png(GRAY / 255.0), GRAY)
    np.testing.assert_array_equal(png(COLOUR / np.float32(255)), COLOUR)
    np.testing.assert_array_equal(png(GRAY > 100), np.where(GRAY > 100, 255, 0))
    np.testing.assert_array_equal(png(np.array([[0.0, 1.0, 0.5019]])), [[0, 255, 128]])
    for array in (GRAY, COLOUR, np.concatenate([COLOUR, GRAY[..., None]], -1), GRAY.astype(np.uint16) * 200):
        np.testing.assert_array_equal(png(array), array)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0.5, np.nan]]),
        np.array([[-0.1, 0.5]]),
        np.array([[0.5, 1.1]]),
        GRAY.astype(np.int32),
        COLOUR.astype(np.uint16),
    ],
    ids=["nan", "negative", "above one", "32 bits", "16-bit colour"],
)
def test_png_refuses_what_it_would_change(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="PNG takes floats from 0 to 1"):
        png(array)


@pytest.mark.parametrize("shape", [(4,), (3, 4, 2), (3, 4, 5), (2, 3, 4, 3)])
def test_png_holds_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="PNG holds an image"):
        images.write_png(io.BytesIO(), np.zeros(shape), "")
