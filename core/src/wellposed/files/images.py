"""Photographs and TIFF: pixels as stored, palettes resolved."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError
from .formats import library

#: Pillow modes whose pixels are not what they show, and the mode that is.
_RESOLVED = {"P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}
_CHANNELS = {"L": (), "I": (), "F": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}
_PRECISION = {"I": "int32", "F": "float32"}


def read_image(path: Path, key: str | None) -> np.ndarray:
    pillow = library("PIL.Image", "pillow", path)
    with pillow.open(path) as image:
        return _pixels(image)


def describe_image(path: Path) -> list[tuple]:
    pillow = library("PIL.Image", "pillow", path)
    with pillow.open(path) as image:
        mode = _resolved_mode(image)
        dtype = "uint16" if mode.startswith("I;16") else _PRECISION.get(mode, "uint8")
        return [("", (image.height, image.width, *_CHANNELS.get(mode, ())), dtype)]


def read_tiff(path: Path, key: str | None) -> np.ndarray:
    tifffile = _tifffile()
    if tifffile is None:
        return read_image(path, key)
    with contextlib.suppress(ValueError):  # compressed, tiled or palette files cannot be mapped
        return tifffile.memmap(path, mode="r")
    try:
        return tifffile.imread(path)
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return read_image(path, key)  # a compression that Pillow knows and tifffile does not


def describe_tiff(path: Path) -> list[tuple]:
    tifffile = _tifffile()
    if tifffile is None:
        return describe_image(path)
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        return [("", tuple(series.shape), str(series.dtype))]


def write_png(stream: IO[bytes], array: np.ndarray, key: str) -> None:
    pillow = library("PIL.Image", "pillow", Path(getattr(stream, "name", "the file")))
    pillow.fromarray(_png_pixels(array)).save(stream, format="PNG")


def write_tiff(stream: IO[bytes], array: np.ndarray, key: str) -> None:
    if np.iscomplexobj(array):
        raise InputError("TIFF holds real numbers; write the magnitude, or choose .npy, .h5 or .mat")
    tifffile = _tifffile()
    if tifffile is not None:
        tifffile.imwrite(stream, array)
        return
    pillow = library("PIL.Image", "pillow", Path(getattr(stream, "name", "the file")))
    pillow.fromarray(array.astype(np.float32) if array.dtype.kind == "f" else array).save(stream, format="TIFF")


def _tifffile() -> Any:
    try:
        return importlib.import_module("tifffile")
    except ImportError:
        return None


def _resolved_mode(image: Any) -> str:
    if image.mode == "P" and "transparency" in image.info:
        return "RGBA"
    return _RESOLVED.get(image.mode, image.mode)


def _pixels(image: Any) -> np.ndarray:
    mode = _resolved_mode(image)
    return np.asarray(image if mode == image.mode else image.convert(mode))


def _png_pixels(array: np.ndarray) -> np.ndarray:
    """Integers and truth values as they are; floats from 0 (black) to 1 (white) in 8 bits."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(f"PNG holds an image (H, W) or (H, W, 3 or 4), not an array of shape {array.shape}")
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint8 or (array.dtype == np.uint16 and array.ndim == 2):
        return array
    if array.dtype.kind != "f" or not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise InputError(
            f"PNG takes floats from 0 to 1, 8-bit, or 16-bit gray integers, not {array.dtype} from "
            f"{array.min()} to {array.max()}; scale the array, or write .npy, .tif or .h5"
        )
    return np.rint(array * 255).astype(np.uint8)
