"""Photographs and TIFF: pixels as stored, palettes resolved."""

from __future__ import annotations

import contextlib
import importlib
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError
from .formats import library
from .limits import MOST_INFLATED, check_size, check_unpacked, inflated

#: Pillow modes whose pixels are not what they show, and the mode that is.
_RESOLVED = {"P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}
_CHANNELS = {"L": (), "I": (), "F": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}
_PRECISION = {"I": "int32", "F": "float32"}
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "PPM", "TIFF", "GIF", "WEBP")
_BLOCK = 1 << 20


def read_image(path: Path, key: str | None, limit: int) -> np.ndarray:
    with _opened(path) as image:
        mode = _resolved_mode(image)
        check_size(path, (image.height, image.width, *_CHANNELS.get(mode, ())), _dtype(mode).itemsize, limit)
        return _pixels(image)


def describe_image(path: Path) -> list[tuple]:
    with _opened(path) as image:
        mode = _resolved_mode(image)
        return [("", (image.height, image.width, *_CHANNELS.get(mode, ())), str(_dtype(mode)))]


def read_tiff(path: Path, key: str | None, limit: int) -> np.ndarray:
    tifffile = _tifffile()
    if tifffile is None:
        return read_image(path, key, limit)
    with contextlib.suppress(ValueError):  # compressed, tiled or palette files cannot be mapped
        return tifffile.memmap(path, mode="r")
    _check_tiff(tifffile, path, limit)
    try:
        return tifffile.imread(path)
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return read_image(path, key, limit)  # a compression that Pillow knows and tifffile does not


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


def _check_tiff(tifffile: Any, path: Path, limit: int) -> None:
    """Compare the size that the file says, and look through large deflated pieces, before anything is unpacked."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        check_size(path, series.shape, series.dtype.itemsize, limit)
        for page in series.pages:
            if page is None or page.compression not in _UNPACKED:
                continue
            unpacked, most = _UNPACKED[page.compression]
            for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                if size * most > limit // 2:
                    file.filehandle.seek(offset)
                    check_unpacked(path, unpacked([file.filehandle.read(size)]), limit)


def _of_lzma(blocks: Iterable[bytes]) -> Iterator[int]:
    """As `inflated`, of LZMA."""
    engine = lzma.LZMADecompressor()
    for block in blocks:
        yield len(engine.decompress(block, _BLOCK))
        while not engine.needs_input and not engine.eof:
            yield len(engine.decompress(b"", _BLOCK))


#: Compressions of TIFF that the reader unpacks to whatever size they have: deflate under both its numbers, LZMA.
_UNPACKED = {8: (inflated, MOST_INFLATED), 32946: (inflated, MOST_INFLATED), 34925: (_of_lzma, 10_000)}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The picture, by its content and of these formats only: others make Pillow start programs (PostScript)."""
    pillow = library("PIL.Image", "pillow", path)
    with pillow.open(path, formats=_FORMATS) as image:
        image.verify()  # checksums of PNG, which reading the pixels does not compare
    with pillow.open(path, formats=_FORMATS) as image:
        yield image


def _dtype(mode: str) -> np.dtype:
    return np.dtype("uint16" if mode.startswith("I;16") else _PRECISION.get(mode, "uint8"))


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
