"""MATLAB files of every version, structs and cells by dotted keys, arrays as MATLAB shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from ..errors import InputError
from .formats import library
from .guard import choose, existing, missing, reading
from .limits import limit_of, may_exceed

_HDF5 = b"\x89HDF\r\n\x1a\n"


class Node(Protocol):
    """A value inside a MATLAB file: a struct or cell with children, or an array."""

    def children(self) -> Mapping[str, Node]:
        """Fields of a struct by name, elements of a cell by position; empty for everything else."""
        ...

    def info(self) -> tuple[tuple[int, ...], str]:
        """Shape as MATLAB shows it, and type; the type is `text` for characters."""
        ...

    def array(self) -> np.ndarray: ...

    def text(self) -> str: ...


def read(path: Path, key: str | None, limit: int) -> np.ndarray:
    with _opened(path, key, limit) as root:
        if key is None:
            key = choose(path, None, (k for k, node in _leaves(root) if node.info()[1] != "text"))
        return _find(root, key, path).array()


def describe(path: Path) -> list[tuple]:
    if not is_hdf5(path) and may_exceed(path.stat().st_size, limit_of(path)):
        from .matlab_v5 import described

        rows = described(path)
        if rows is not None:
            return rows
    with _opened(path, None, limit_of(path)) as root:
        return [(key, *node.info()) for key, node in _leaves(root) if node.info()[1] != "text"]


def read_text(path: str | Path, key: str) -> str:
    """The characters stored under a dotted key; raises `InputError` as `read_array` does."""
    path = Path(path)
    form = existing(path)
    with reading(path, form.name), _opened(path, key, limit_of(path)) as root:
        return _find(root, key, path).text()


def write(stream: IO[bytes], array: np.ndarray, key: str) -> None:
    scipy_io = library("scipy.io", "scipy", Path(getattr(stream, "name", "the file")))
    scipy_io.savemat(stream, {key: array}, do_compression=True)


def _opened(path: Path, key: str | None, limit: int) -> AbstractContextManager[Node]:
    """The file's root; of the old versions only the variable that the key begins with is read."""
    if is_hdf5(path):
        from .matlab_v73 import opened

        return opened(path, limit)
    from .matlab_v5 import opened as opened_old

    return opened_old(path, None if key is None else key.partition(".")[0], limit)


def is_hdf5(path: Path) -> bool:
    """Whether a .mat file is of version 7.3: HDF5, behind MATLAB's own 512 bytes or without them."""
    with path.open("rb") as stream:
        start = stream.read(520)
    return start[512:] == _HDF5 or start[:8] == _HDF5


def _find(root: Node, key: str, path: Path) -> Node:
    node = root
    for part in key.split("."):
        children = node.children()
        if part not in children:
            raise missing(path, key, (k for k, _ in _leaves(root)))
        node = children[part]
    inside = node.children()
    if inside:
        names = list(inside)
        raise InputError(f"{path}: {key!r} is a struct or cell; name one array in it, such as {key}.{names[0]}")
    return node


def _leaves(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    children = node.children()
    if not children and prefix:
        yield prefix, node
    for name, child in children.items():
        yield from _leaves(child, f"{prefix}.{name}" if prefix else name)
