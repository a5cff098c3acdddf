"""Random codes, codes from files, and the matrix that measures them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wellposed.errors import InputError, ShapeError
from wellposed_sparse.datasets.code_file import CodeFile
from wellposed_sparse.datasets.sparse_codes import SparseCodes
from wellposed_sparse.patterns.gaussian_columns import GaussianColumns


def test_codes_are_bernoulli_gaussian() -> None:
    data = SparseCodes(entries=500, probability=0.1, length=400, seed=3)
    values = torch.stack([data[i].truth for i in range(400) if data[i].truth is not None]).double()
    used = values != 0
    count = used.double().sum()
    # Four standard deviations of each estimate.
    assert abs(float(count) / values.numel() - 0.1) < 4 * (0.09 / values.numel()) ** 0.5
    assert abs(float(values[used].mean())) < 4 / float(count) ** 0.5
    assert abs(float(values[used].var()) - 1) < 4 * (2 / float(count)) ** 0.5
    assert float(values[used].pow(4).mean()) == pytest.approx(3, rel=0.15)
    other = SparseCodes(entries=500, length=400, seed=4)[0].truth
    assert other is not None
    assert not torch.equal(other, values[0].float())


def test_codes_of_a_file_are_the_columns_of_its_matrix(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).standard_normal((7, 3))
    np.save(tmp_path / "codes.npy", matrix)
    data = CodeFile(str(tmp_path / "codes.npy"))
    assert len(data) == 3
    found = data[1].truth
    assert found is not None
    assert found.shape == (1, 7)
    assert torch.equal(found[0], torch.from_numpy(matrix[:, 1]).float())
    found.zero_()
    again = data[1].truth
    assert again is not None
    assert bool(again.any())


@pytest.mark.parametrize(
    ("array", "match"),
    [(np.zeros(3), "columns of a real matrix"), (np.full((2, 2), np.nan), "not finite"), (1j * np.eye(2), "complex")],
)
def test_files_without_codes_are_told(tmp_path: Path, array: np.ndarray, match: str) -> None:
    np.save(tmp_path / "codes.npy", array)
    with pytest.raises(InputError, match=match):
        CodeFile(str(tmp_path / "codes.npy"))


def test_numbers_out_of_range_are_told() -> None:
    for numbers, match in (({"entries": 0}, "entries ≥ 1"), ({"probability": 0.0}, "probability in")):
        with pytest.raises(InputError, match=match):
            SparseCodes(**numbers)


def test_the_columns_of_the_random_matrix_have_norm_1() -> None:
    matrix = GaussianColumns(5)((40, 70))
    assert matrix.dtype == torch.float64
    assert torch.allclose(matrix.norm(dim=0), torch.ones(70, dtype=torch.float64), atol=1e-14)
    assert torch.equal(matrix, GaussianColumns(5)((40, 70)))
    assert not torch.equal(matrix, GaussianColumns(6)((40, 70)))
    # The directions are uniform: the entries have variance 1/40.
    assert float(matrix.square().mean()) == pytest.approx(1 / 40)
    assert abs(float(matrix.mean())) < 4 / (40 * 2800) ** 0.5
    with pytest.raises(ShapeError, match=r"makes matrices \(rows, columns\)"):
        GaussianColumns()((3, 4, 5))
