"""Reading one array from one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .guard import existing, reading
from .limits import limit_of

if TYPE_CHECKING:
    import numpy as np


def read_array(path: str | Path, key: str | None = None, expected: tuple[int, ...] | None = None) -> np.ndarray:
    """The array of a file, or the one named `key` where the file holds several.

    - `.npy`: memory-mapped, read-only. `.npz`: by `key`.
    - `.mat`, every version: the array as MATLAB shows it. Dots lead into structs
      (`Data.parameters.angles`) and, counting from 0, into cells (`kernels.3`).
    - `.h5`: slashes lead into groups. Records of two parts, real and imaginary, become complex.
    - `.png`, `.jpg`, `.bmp`, `.pgm`, `.tif`: `(H, W)` or `(H, W, channels)`, integers as stored, palettes
      resolved; several pages of a tif come first.
    - `.nii`, `.nii.gz`: `(x, y, z)` as stored, scaled by its header.
    - `.dcm`: `(H, W)`, slope and intercept applied (Hounsfield units for CT). A folder of slices is a
      volume `(slices, H, W)` ordered along its axis; `key` is the series UID where there are several.

    Packed files are compared by their headers before they are unpacked: an array of more than four times the file
    and 500 MB is refused unless it has the shape that the caller says to expect.
    Numbers come in native byte order; text, Python objects and empty arrays are refused.
    Raises `InputError`: no such file, empty, unreadable or damaged, extension or key unknown, several
    arrays and no key.
    """
    path = Path(path)
    form = existing(path)
    if key is not None and not form.has_keys:
        raise InputError(f"{path}: a {form.name} file holds one array and no keys; leave out key={key!r}")
    with reading(path, form.name):
        array = form.load("read")(path, key, limit_of(path, expected))
    return _numbers(array, path, key)


def _numbers(array: np.ndarray, path: Path, key: str | None) -> np.ndarray:
    where = f"{path}, {key}," if key else f"{path}"
    if array.dtype.kind not in "biufc":
        what = {"O": "Python objects", "S": "text", "U": "text", "V": "records"}.get(array.dtype.kind, "no numbers")
        raise InputError(f"{where} holds {what} ({array.dtype}), not numbers; such arrays are not read")
    if array.size == 0:
        raise InputError(f"{where} holds an empty array of shape {array.shape}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array
