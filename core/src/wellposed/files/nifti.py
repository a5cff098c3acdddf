"""NIfTI volumes, scaled by their header, in the axis order of the file."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .formats import library
from .limits import check_size, check_unpacked

_BLOCK = 1 << 20
_SHORT = 2  # bytes of integers that single precision holds exactly
#: Where the numbers begin, by the header's own length: the place in the header and how it is written there.
_OFFSET = {348: (108, "f"), 540: (168, "q")}
_LONGEST_HEADER = 16_000_000


def read(path: Path, key: str | None, limit: int) -> np.ndarray:
    image = _loaded(path)
    stored = image.header.get_data_dtype()
    if path.suffix.lower() == ".gz":
        check_size(path, image.shape, stored.itemsize, limit)
        _check_sum(path, limit)
    scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
    return np.asanyarray(image.dataobj, dtype=np.float32 if scaled and stored.itemsize <= _SHORT else None)


def describe(path: Path) -> list[tuple]:
    image = _loaded(path)
    return [("", tuple(image.shape), str(image.header.get_data_dtype()))]


def _loaded(path: Path) -> Any:
    """The image with its header, its numbers not read yet."""
    if path.suffix.lower() == ".gz":
        _check_header(path)
    nibabel = library("nibabel", "nibabel", path)
    log = nibabel.imageglobals.logger
    before, log.disabled = log.disabled, True  # it prints what it raises besides, and what it mends
    try:
        return nibabel.load(path)
    finally:
        log.disabled = before


def _check_sum(path: Path, limit: int) -> None:
    """Read a packed file to its end, where its checksum stands: who stops behind the last number never compares it."""
    with gzip.open(path) as stream:
        check_unpacked(path, map(len, iter(lambda: stream.read(_BLOCK), b"")), 2 * limit)  # nothing is kept


def _check_header(path: Path) -> None:
    """Extensions say their own length, and are read whole: those of a packed file must end where the numbers begin."""
    with gzip.open(path) as stream:
        head = stream.read(540)
        order = next((o for o in "<>" if struct.unpack_from(f"{o}i", head)[0] in _OFFSET), None)
        if order is None:
            raise ValueError("it does not begin as NIfTI does")
        length = struct.unpack_from(f"{order}i", head)[0]
        place, kind = _OFFSET[length]
        begin = int(struct.unpack_from(f"{order}{kind}", head, place)[0])
        if not 0 <= begin <= _LONGEST_HEADER:
            raise ValueError(f"its numbers are said to begin at byte {begin}")
        stream.seek(length)
        follows = stream.read(4)[:1] != b"\0"
        while follows and stream.tell() + 8 <= begin:
            (size,) = struct.unpack(f"{order}i", stream.read(8)[:4])
            if size < 8 or stream.tell() - 8 + size > begin:
                raise ValueError(f"an extension of its header is said to have {size} bytes")
            stream.seek(size - 8, 1)
