"""Writing one array to one file, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .atomic import atomic
from .formats import WRITABLE, format_of
from .guard import reason

if TYPE_CHECKING:
    import numpy as np


def write_array(path: str | Path, array: np.ndarray, key: str = "data") -> None:
    """Write an array of numbers as .npy, .npz, .h5, .mat, .tif or .png, by the extension.

    `key` names it in the formats with keys. A killed process leaves the old file or the new one, never
    half of one. PNG takes floats from 0 to 1 in 8 bits, and 8-bit or 16-bit gray integers.
    Raises `InputError`: extension unknown, no such folder, numbers that the format cannot hold.
    """
    path = Path(path)
    form = format_of(path)
    if form is None or not form.write:
        raise InputError(f"{path} has no extension that can be written; those are {' '.join(WRITABLE)}")
    if array.dtype.kind not in "biufc":
        raise InputError(f"{path}: only numbers are written, not {array.dtype}")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
    write = form.load("write")
    try:
        with atomic(path) as stream:
            write(stream, array, key)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {reason(error)}") from error
    except InputError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
