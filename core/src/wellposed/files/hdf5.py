"""HDF5: datasets named by their path in the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError
from .formats import library
from .guard import choose
from .limits import check_size, check_unpacked, inflated, may_exceed

_DEFLATE = 1  # the filter's number in HDF5


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """The file, open for reading, every number of which lies in it.

    Virtual datasets, external storage and links into other files would have HDF5 open whatever paths the file names,
    and read zeros where one is missing. Raises `InputError` where the file has one, before anything is read.
    """
    h5py = library("h5py", "h5py", path)
    with h5py.File(path, "r") as file:
        foreign = _foreign_link(h5py, file) or _foreign_dataset(h5py, file)
        if foreign is not None:
            raise InputError(
                f"{path}: {foreign}. Only files that hold their numbers themselves are read; copy them into one, "
                f"for instance with h5repack or h5py"
            )
        yield file


def read(path: Path, key: str | None, limit: int) -> np.ndarray:
    with opened_hdf5(path) as file:
        if key is None or not _is_dataset(file.get(key)):
            key = choose(path, key, (name for name, _, _ in _datasets(file)), "datasets")
        return as_complex(stored(file[key], path, limit))


def describe(path: Path) -> list[tuple]:
    with opened_hdf5(path) as file:
        return _datasets(file)


def write(stream: IO[bytes], array: np.ndarray, key: str) -> None:
    h5py = library("h5py", "h5py", Path(getattr(stream, "name", "the file")))
    with h5py.File(stream, "w") as file:
        file.create_dataset(key, data=array)


def stored(dataset: Any, path: Path, limit: int) -> np.ndarray:
    """All values of a dataset. Raises `InputError` where they take more than `limit` bytes or were never written."""
    if dataset.shape is None:
        raise InputError(f"{path}, {dataset.name}, holds nothing")
    check_size(path, dataset.shape, dataset.dtype.itemsize, limit, dataset.name)
    _check_written(dataset, path)
    if dataset.chunks is not None:
        check_size(path, dataset.chunks, dataset.dtype.itemsize, limit, f"one piece of {dataset.name}")
        _check_pieces(dataset, path, limit)
    return np.asarray(dataset[()])


def as_complex(array: np.ndarray) -> np.ndarray:
    """Records of a real and an imaginary part as complex numbers; everything else as it is."""
    names = array.dtype.names
    if names is None or len(names) != 2 or not names[0].startswith("r") or not names[1].startswith("i"):
        return array
    part = array.dtype[0]
    result = np.empty(array.shape, np.result_type(part, np.complex64))
    result.real, result.imag = array[names[0]], array[names[1]]
    return result


def _check_written(dataset: Any, path: Path) -> None:
    """HDF5 reads the fill value, mostly zero, where nothing was written."""
    if dataset.size == 0:
        return
    if dataset.chunks is None:
        missing = dataset.id.get_storage_size() == 0
    else:
        pieces = np.prod([-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)], dtype=float)
        missing = dataset.id.get_num_chunks() < pieces
    if missing:
        raise InputError(
            f"{path}, {dataset.name}, was never written in full, as a recording broken off leaves it; "
            f"what is missing would be read as {dataset.fillvalue}"
        )


def _check_pieces(dataset: Any, path: Path, limit: int) -> None:
    """Unpack large deflated pieces in steps first: the library makes room for whatever a piece unpacks to."""
    plan = dataset.id.get_create_plist()
    if _DEFLATE not in [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]:
        return
    large: list[tuple[int, ...]] = []

    def collect(piece: Any) -> None:
        if may_exceed(piece.size, limit):
            large.append(piece.chunk_offset)

    dataset.id.chunk_iter(collect)
    for offset in large:
        check_unpacked(path, inflated([dataset.id.read_direct_chunk(offset)[1]]), limit)


def _foreign_link(h5py: Any, file: Any) -> str | None:
    """What the first link out of the file is, if there is one; no link is followed."""

    def look(name: bytes, link: Any) -> str | None:
        if link.type in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
            return None
        return f"{_text(name)} is a link into another file"

    return file.id.links.visit(look, info=True)


def _foreign_dataset(h5py: Any, file: Any) -> str | None:
    """What the first dataset with numbers elsewhere is, if there is one; no dataset is read."""

    def look(name: bytes, about: Any) -> str | None:
        if about.type != h5py.h5o.TYPE_DATASET:
            return None
        plan = h5py.h5d.open(file.id, name).get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL:
            return f"{_text(name)} is a virtual dataset, put together from other files"
        if plan.get_external_count() > 0:
            return f"{_text(name)} has its numbers in another file"
        return None

    return h5py.h5o.visit(file.id, look, info=True)


def _is_dataset(item: Any) -> bool:
    return hasattr(item, "dtype") and hasattr(item, "shape")


def _datasets(file: Any) -> list[tuple]:
    """Key, shape and type of every dataset of numbers; text and references are left out."""
    found = []

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.shape is not None and item.dtype.kind in "biufcV":
            found.append((name, item.shape, str(item.dtype)))

    file.visititems(visit)
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
