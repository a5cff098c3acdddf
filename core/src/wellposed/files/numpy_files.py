"""NumPy's own formats; pickled objects are never loaded."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import InputError
from .guard import choose
from .limits import check_size

_LONGEST_HEADER = 10_000  # bytes, as for NumPy
_MEMBER = ".npy"  # what else lies in an archive is no array
_OBJECTS = "it holds pickled Python objects, which are not read; save numbers instead"


def read_npy(path: Path, key: str | None, limit: int) -> np.ndarray:
    with path.open("rb") as stream:
        shape, dtype = _header(stream, path)
        _check_length(path, shape, dtype, path.stat().st_size - stream.tell())
    # Empty arrays cannot be mapped.
    return np.load(path, mmap_mode="r" if 0 not in shape else None, allow_pickle=False)


def describe_npy(path: Path) -> Iterator[tuple]:
    with path.open("rb") as stream:
        shape, dtype = _header(stream, path)
    yield "", shape, str(dtype)


def read_npz(path: Path, key: str | None, limit: int) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        names = [name.removesuffix(_MEMBER) for name in archive.zip.namelist() if name.endswith(_MEMBER)]
        chosen = choose(path, key, names)
        with archive.zip.open(f"{chosen}.npy") as stream:
            shape, dtype = _header(stream, path)
            check_size(path, shape, dtype.itemsize, limit, chosen)
            _check_length(path, shape, dtype, archive.zip.getinfo(f"{chosen}.npy").file_size - stream.tell())
        return archive[chosen]


def describe_npz(path: Path) -> Iterator[tuple]:
    with zipfile.ZipFile(path) as archive:
        for name in (name for name in archive.namelist() if name.endswith(_MEMBER)):
            with archive.open(name) as stream:
                shape, dtype = _header(stream, path)
            yield name.removesuffix(_MEMBER), shape, str(dtype)


def write_npy(stream: IO[bytes], array: np.ndarray, key: str) -> None:
    np.save(stream, array, allow_pickle=False)


def write_npz(stream: IO[bytes], array: np.ndarray, key: str) -> None:
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{key}.npy", "w", force_zip64=True) as entry,
    ):
        np.lib.format.write_array(entry, array, allow_pickle=False)


def _header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    _check_header_length(stream, 2 if version == (1, 0) else 4)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise InputError(f"{path} cannot be used: {_OBJECTS}")
    return shape, dtype


def _check_header_length(stream: IO[bytes], size: int) -> None:
    """NumPy reads a header of any length before it refuses long ones."""
    length = int.from_bytes(stream.read(size), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header is said to have {length} bytes")
    stream.seek(-size, 1)


def _check_length(path: Path, shape: tuple[int, ...], dtype: np.dtype, given: int) -> None:
    """NumPy is content with more numbers than the header says: those of a changed header are not the image."""
    needed = math.prod(shape) * dtype.itemsize
    if needed != given:
        raise ValueError(f"its header says {needed} bytes of numbers, {given} follow")
