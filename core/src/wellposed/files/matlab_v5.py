"""MATLAB files up to version 7, through scipy."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .formats import library
from .guard import missing
from .limits import check_size, check_unpacked, inflated, may_exceed

#: Bytes of one number in the classes of MATLAB that are plain arrays; of complex ones each of both parts.
_BYTES = {"single": 4, "double": 8, "logical": 1} | {f"{u}int{b}": b // 8 for u in ("", "u") for b in (8, 16, 32, 64)}
_HEADER, _TAG, _PACKED = 128, 8, 15  # bytes of the file's header and of an element's, the type of packed elements
_BLOCK = 1 << 20


def described(path: Path) -> list[tuple] | None:
    """Name, shape and class of the variables from their headers; `None` where one is no plain array of numbers."""
    rows = library("scipy.io", "scipy", path).whosmat(path)
    return rows if all(kind in _BYTES for _, _, kind in rows) else None


@contextmanager
def opened(path: Path, variable: str | None, limit: int) -> Iterator[Value]:
    """The variables of the file, or the one; raises `InputError` where more than `limit` bytes would be unpacked."""
    scipy_io = library("scipy.io", "scipy", path)
    for name, shape, kind in scipy_io.whosmat(path):
        if variable in (None, name) and kind != "sparse":
            check_size(path, shape, _BYTES.get(kind, 1), limit, name)
    if may_exceed(path.stat().st_size, limit):
        for blocks in _packed_elements(path):
            check_unpacked(path, inflated(blocks), limit)
    content = scipy_io.loadmat(path, variable_names=None if variable is None else [variable])
    found = {name: value for name, value in content.items() if not name.startswith("__")}
    if variable is not None and variable not in found:
        raise missing(path, variable, (name for name, _, _ in scipy_io.whosmat(path)))
    yield Value(found, path, limit)


def _packed_elements(path: Path) -> Iterator[Iterator[bytes]]:
    """The packed variables of a file of version 5 as blocks of bytes; none of an older version."""
    with path.open("rb") as stream:
        header = stream.read(_HEADER)
        order = {b"IM": "<", b"MI": ">"}.get(header[126:])
        while order and len(tag := stream.read(_TAG)) == _TAG:
            kind, size = struct.unpack(f"{order}II", tag)
            end = stream.tell() + size
            if kind == _PACKED:
                yield iter(lambda end=end: stream.read(min(_BLOCK, max(0, end - stream.tell()))), b"")
            stream.seek(end)


class Value:
    """A value as scipy loads it: structs are arrays of records, cells arrays of objects."""

    def __init__(self, value: Any, path: Path, limit: int) -> None:
        self._value, self._path, self._limit = value, path, limit

    def children(self) -> dict[str, Value]:
        value = self._value
        if isinstance(value, dict):
            return {name: self._inside(v) for name, v in value.items()}
        if not isinstance(value, np.ndarray):
            return {}
        if value.dtype.names:  # of a struct array each field is a cell
            return {f: self._inside(value[f].item() if value.size == 1 else value[f]) for f in value.dtype.names}
        if value.dtype == object:
            return {str(i): self._inside(v) for i, v in enumerate(value.ravel(order="F"))}
        return {}

    def info(self) -> tuple[tuple[int, ...], str]:
        value = self._value
        if not hasattr(value, "dtype"):
            return (), type(value).__name__
        return tuple(value.shape), "text" if value.dtype.kind in "US" else str(value.dtype)

    def array(self) -> np.ndarray:
        value = self._value
        if hasattr(value, "toarray"):
            check_size(self._path, value.shape, value.dtype.itemsize, self._limit)
            return value.toarray()
        if not isinstance(value, np.ndarray):
            raise InputError(f"a MATLAB {type(value).__name__} is no array")
        return value

    def text(self) -> str:
        return "\n".join(str(line) for line in np.atleast_1d(self.array()))

    def _inside(self, value: Any) -> Value:
        return Value(value, self._path, self._limit)
