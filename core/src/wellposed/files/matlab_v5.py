"""MATLAB files up to version 7, through scipy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .formats import library
from .guard import missing


@contextmanager
def opened(path: Path, variable: str | None) -> Iterator[Value]:
    scipy_io = library("scipy.io", "scipy", path)
    content = scipy_io.loadmat(path, variable_names=None if variable is None else [variable])
    found = {name: value for name, value in content.items() if not name.startswith("__")}
    if variable is not None and variable not in found:
        raise missing(path, variable, (name for name, _, _ in scipy_io.whosmat(path)))
    yield Value(found)


class Value:
    """A value as scipy loads it: structs are arrays of records, cells arrays of objects."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def children(self) -> dict[str, Value]:
        value = self._value
        if isinstance(value, dict):
            return {name: Value(v) for name, v in value.items()}
        if not isinstance(value, np.ndarray):
            return {}
        if value.dtype.names:  # of a struct array each field is a cell
            return {f: Value(value[f].item() if value.size == 1 else value[f]) for f in value.dtype.names}
        if value.dtype == object:
            return {str(i): Value(v) for i, v in enumerate(value.ravel(order="F"))}
        return {}

    def info(self) -> tuple[tuple[int, ...], str]:
        value = self._value
        if not hasattr(value, "dtype"):
            return (), type(value).__name__
        return tuple(value.shape), "text" if value.dtype.kind in "US" else str(value.dtype)

    def array(self) -> np.ndarray:
        value = self._value
        if hasattr(value, "toarray"):
            return value.toarray()
        if not isinstance(value, np.ndarray):
            raise InputError(f"a MATLAB {type(value).__name__} is no array")
        return value

    def text(self) -> str:
        return "\n".join(str(line) for line in np.atleast_1d(self.array()))
