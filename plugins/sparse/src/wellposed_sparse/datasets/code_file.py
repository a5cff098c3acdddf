"""Codes read from a file."""

from __future__ import annotations

import numpy as np
import torch

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.files import read_array


class CodeFile(Dataset):
    """The columns of a matrix in a file, each a code `(1, entries)` in float32.

    Args:
        path: a file with one real matrix `(entries, codes)`: npy npz mat h5.
        key: the matrix's name, in files with several arrays.

    Raises `InputError` where the file cannot be read or holds no such matrix.
    """

    source = "the user's own file"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(self, path: str, key: str | None = None) -> None:
        array = read_array(path, key)
        if array.ndim != 2 or array.dtype.kind == "c":
            raise InputError(
                f"{path} holds {array.dtype} numbers of shape {array.shape}; codes are the columns of a real matrix"
            )
        self.codes = torch.from_numpy(np.ascontiguousarray(array.T, dtype=np.float32))
        if not bool(torch.isfinite(self.codes).all()):
            raise InputError(f"{path} holds numbers that are not finite")

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        return Sample(f"code-{index}", self.codes[index][None].clone())
