"""MATLAB files of version 7.3: HDF5 with MATLAB's classes as attributes, axes in reverse order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .hdf5 import as_complex, opened_hdf5, stored
from .limits import check_size

_LARGEST_NUMBER = 16  # bytes of a complex number in double precision


@contextmanager
def opened(path: Path, limit: int) -> Iterator[Item]:
    with opened_hdf5(path) as file:
        yield Item(file, _Source(file, path, limit))


@dataclass(frozen=True)
class _Source:
    """The file that an item lies in, and how many bytes may be read from it at once."""

    file: Any
    path: Path
    limit: int

    def values(self, dataset: Any) -> np.ndarray:
        return stored(dataset, self.path, self.limit)


class Item:
    """A group or dataset of the file."""

    def __init__(self, item: Any, source: _Source) -> None:
        self._item, self._source = item, source

    def children(self) -> dict[str, Item]:
        if not hasattr(self._item, "dtype"):  # a group
            names = () if self._is_sparse else (n for n in self._item if not n.startswith("#"))
            return {name: self._child(self._item[name]) for name in names}
        if self._item.dtype.kind != "O" or not self._item.dtype.metadata or "ref" not in self._item.dtype.metadata:
            return {}
        # Reversed axes in C order are MATLAB's order.
        references = self._source.values(self._item).ravel()
        return {str(i): self._child(self._source.file[ref]) for i, ref in enumerate(references)}

    def info(self) -> tuple[tuple[int, ...], str]:
        if self._is_sparse:
            return self._sparse_shape, str(self._item["data"].dtype) if "data" in self._item else "float64"
        if self._is_empty:
            return tuple(int(n) for n in self._source.values(self._item).ravel()), "empty"
        if self._class == "char":
            return self._item.shape[::-1], "text"
        names = self._item.dtype.names
        return self._item.shape[::-1], "complex" if names else str(self._item.dtype)

    def array(self) -> np.ndarray:
        if self._is_sparse:
            return self._dense()
        if self._is_empty:
            return self._nothing()
        if self._class == "char":
            return np.array(self.text())
        return as_complex(self._source.values(self._item)).T

    def text(self) -> str:
        return "".join(map(chr, self._source.values(self._item).ravel()))

    def _child(self, item: Any) -> Item:
        return Item(item, self._source)

    def _nothing(self) -> np.ndarray:
        """An array without numbers; of it the file holds the shape."""
        shape, _ = self.info()
        if 0 not in shape:
            raise InputError(f"{self._source.path}, {self._item.name}, is marked as empty, with the shape {shape}")
        return np.empty(shape)

    @property
    def _class(self) -> str:
        name = self._item.attrs.get("MATLAB_class", b"")
        return name.decode() if isinstance(name, bytes) else str(name)

    @property
    def _is_empty(self) -> bool:
        return bool(self._item.attrs.get("MATLAB_empty", 0))

    @property
    def _is_sparse(self) -> bool:
        return "MATLAB_sparse" in self._item.attrs

    @property
    def _sparse_shape(self) -> tuple[int, int]:
        return int(self._item.attrs["MATLAB_sparse"]), len(self._item["jc"]) - 1

    def _dense(self) -> np.ndarray:
        """Compressed columns written out."""
        source, shape = self._source, self._sparse_shape
        check_size(source.path, shape, _LARGEST_NUMBER, source.limit, self._item.name)
        if "data" not in self._item:
            return np.zeros(shape)
        values = as_complex(source.values(self._item["data"]))
        rows, ends = (source.values(self._item[name]).astype(np.int64) for name in ("ir", "jc"))
        if len(rows) and not 0 <= rows.min() <= rows.max() < shape[0]:
            raise ValueError("its sparse matrix has rows outside of its shape")
        dense = np.zeros(shape, values.dtype)
        dense[rows, np.repeat(np.arange(shape[1]), np.diff(ends))] = values
        return dense
