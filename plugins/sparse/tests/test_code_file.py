"""Codes from a file: columns of a real, finite matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed_sparse.datasets.code_file import CodeFile

CODES = np.arange(12, dtype=np.float64).reshape(3, 4) / 7


def test_columns_are_codes_in_single_precision(tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", CODES)
    data = CodeFile(str(tmp_path / "codes.npy"))
    assert len(data) == 4
    sample = data[1]
    assert sample.name == "code-1"
    assert torch.equal(sample.truth, torch.from_numpy(CODES[:, 1].astype(np.float32))[None])
    sample.truth.zero_()
    assert torch.equal(data[-3].truth, torch.from_numpy(CODES[:, 1].astype(np.float32))[None])
    with pytest.raises(IndexError):
        data[4]


def test_one_of_several_arrays_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "codes.npz", a=CODES, b=2 * CODES)
    first = CodeFile(str(tmp_path / "codes.npz"), key="b").codes[0]
    assert torch.equal(first, torch.from_numpy(2 * CODES).float()[:, 0])
    with pytest.raises(InputError):
        CodeFile(str(tmp_path / "codes.npz"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_number_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    broken = CODES.copy()
    broken[1, 2] = value
    np.save(tmp_path / "codes.npy", broken)
    with pytest.raises(InputError, match="not finite"):
        CodeFile(str(tmp_path / "codes.npy"))


@pytest.mark.parametrize("array", [CODES[0], CODES[None], CODES * 1j])
def test_what_is_no_real_matrix_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "codes.npy", array)
    with pytest.raises(InputError, match="columns of a real matrix"):
        CodeFile(str(tmp_path / "codes.npy"))
