"""What a file holds, without reading it where the format has headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .formats import Format
from .guard import existing, reading


@dataclass(frozen=True)
class ArrayInfo:
    """One array of a file: its key (empty where the format has none), shape and number type."""

    key: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        size = " × ".join(map(str, self.shape)) or "one number"
        return f"{self.key}: {size} {self.dtype}" if self.key else f"{size} {self.dtype}"


def describe_file(path: str | Path) -> tuple[ArrayInfo, ...]:
    """The arrays of a file that `read_array` could return, in the file's order.

    Nested MATLAB structs and HDF5 groups have dotted and slashed keys. Raises `InputError` as `read_array`.
    """
    path = Path(path)
    return describe_as(existing(path), path)


def describe_as(form: Format, path: Path) -> tuple[ArrayInfo, ...]:
    with reading(path, form.name):
        return tuple(ArrayInfo(*row) for row in form.load("describe")(path))
