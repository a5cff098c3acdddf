"""HDF5: datasets named by their path in the file."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np

from .formats import library
from .guard import choose


def read(path: Path, key: str | None) -> np.ndarray:
    h5py = library("h5py", "h5py", path)
    with h5py.File(path, "r") as file:
        if key is not None and isinstance(file.get(key), h5py.Dataset):
            return numbers(file[key])
        return numbers(file[choose(path, key, (name for name, _, _ in _datasets(file)), "datasets")])


def describe(path: Path) -> list[tuple]:
    h5py = library("h5py", "h5py", path)
    with h5py.File(path, "r") as file:
        return _datasets(file)


def write(stream: IO[bytes], array: np.ndarray, key: str) -> None:
    h5py = library("h5py", "h5py", Path(getattr(stream, "name", "the file")))
    with h5py.File(stream, "w") as file:
        file.create_dataset(key, data=array)


def numbers(dataset: Any) -> np.ndarray:
    """A dataset's values; records of a real and an imaginary part become complex numbers."""
    return as_complex(np.asarray(dataset[()]))


def as_complex(array: np.ndarray) -> np.ndarray:
    names = array.dtype.names
    if names is None or len(names) != 2 or not names[0].startswith("r") or not names[1].startswith("i"):
        return array
    part = array.dtype[0]
    result = np.empty(array.shape, np.result_type(part, np.complex64))
    result.real, result.imag = array[names[0]], array[names[1]]
    return result


def _datasets(file: Any) -> list[tuple]:
    """Key, shape and type of every dataset of numbers; text and references are left out."""
    found = []

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.shape is not None and item.dtype.kind in "biufcV":
            found.append((name, item.shape, str(item.dtype)))

    file.visititems(visit)
    return found
