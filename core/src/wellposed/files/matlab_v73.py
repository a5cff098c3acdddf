"""MATLAB files of version 7.3: HDF5 with MATLAB's classes as attributes, axes in reverse order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .formats import library
from .hdf5 import as_complex


@contextmanager
def opened(path: Path) -> Iterator[Item]:
    h5py = library("h5py", "h5py", path)
    with h5py.File(path, "r") as file:
        yield Item(file, file, h5py)


class Item:
    """A group or dataset of the file."""

    def __init__(self, item: Any, file: Any, h5py: Any) -> None:
        self._item, self._file, self._h5py = item, file, h5py

    def children(self) -> dict[str, Item]:
        if isinstance(self._item, self._h5py.Group):
            names = () if self._is_sparse else (n for n in self._item if not n.startswith("#"))
            return {name: self._child(self._item[name]) for name in names}
        if self._h5py.check_ref_dtype(self._item.dtype) is None:
            return {}
        # Reversed axes in C order are MATLAB's order.
        return {str(i): self._child(self._file[ref]) for i, ref in enumerate(self._item[()].ravel())}

    def info(self) -> tuple[tuple[int, ...], str]:
        if self._is_sparse:
            return self._sparse_shape, str(self._item["data"].dtype) if "data" in self._item else "float64"
        if self._is_empty:
            return tuple(int(n) for n in self._item[()]), "empty"
        if self._class == "char":
            return self._item.shape[::-1], "text"
        names = self._item.dtype.names
        return self._item.shape[::-1], "complex" if names else str(self._item.dtype)

    def array(self) -> np.ndarray:
        if self._is_sparse:
            return self._dense()
        if self._is_empty:
            return np.empty(self.info()[0])
        if self._class == "char":
            return np.array(self.text())
        return as_complex(np.asarray(self._item[()])).T

    def text(self) -> str:
        return "".join(map(chr, self._item[()].ravel()))

    def _child(self, item: Any) -> Item:
        return Item(item, self._file, self._h5py)

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
        if "data" not in self._item:
            return np.zeros(self._sparse_shape)
        values = as_complex(self._item["data"][()])
        dense = np.zeros(self._sparse_shape, values.dtype)
        columns = np.repeat(np.arange(dense.shape[1]), np.diff(self._item["jc"][()].astype(np.int64)))
        dense[self._item["ir"][()].astype(np.int64), columns] = values
        return dense
