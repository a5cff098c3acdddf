"""Masks, kernels, matrices and coil maps read from files."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.files import read_array
from wellposed.pattern import Pattern


class FilePattern(Pattern):
    """The array in the file `path`: .npy, .npz, .mat (all versions), .h5, .png, .tif.

    `key` names the variable where a file holds several. `shift: true` moves index (0, 0) of the last two axes
    to the middle, for masks stored with DC in the corner. The array is taken as it is; whoever uses the
    pattern checks its shape.

    Raises `InputError` where the file cannot be read.
    """

    source = "file"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(self, path: str, key: str | None = None, shift: bool = False) -> None:
        self.path, self.key, self.shift = path, key, shift

    def __call__(self, shape: tuple[int, ...] = ()) -> Tensor:
        array = read_array(self.path, self.key)
        if array.dtype.kind not in "biufc":
            raise InputError(f"{self.path} holds {array.dtype} entries, which are no numbers")
        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            array = array.astype(np.int64)  # torch has few unsigned types
        tensor = torch.from_numpy(np.array(array, order="C", dtype=array.dtype.newbyteorder("=")))
        return torch.fft.fftshift(tensor, dim=(-2, -1)) if self.shift else tensor
