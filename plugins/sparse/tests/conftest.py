"""The shared data, and small problems that several tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

import wellposed
from wellposed.operator import LinearOperator
from wellposed.testing.doubles import DenseOperator

SHARED = Path(os.environ.get("WELLPOSED_SHARED", Path(__file__).resolve().parents[3] / "../shared")) / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "sparse").is_dir():
        pytest.skip(f"the shared data is not at {SHARED}; set WELLPOSED_SHARED")
    return SHARED


@pytest.fixture
def dense() -> LinearOperator:
    """A 12 × 20 Gaussian matrix with columns of norm 1, on codes `(1, 20)`."""
    matrix = wellposed.component("patterns", "gaussian-columns")(3)((12, 20))
    return DenseOperator.from_tensor(matrix, (1, 20))


@pytest.fixture
def blocks() -> LinearOperator:
    """8 random measurements of each 4 × 4 block of images of 8 × 8 pixels."""
    return wellposed.component("operators", "block-compressed-sensing")((8, 8), block=4, ratio=0.5).double()


@pytest.fixture
def images() -> Tensor:
    """Three smooth random images of 8 × 8 pixels."""
    grid = torch.arange(8, dtype=torch.float64)
    phase = torch.rand(3, 2, 1, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 6
    rows, columns = 0.6 * grid[:, None] + phase[:, 0], 0.4 * grid + phase[:, 1]
    return (0.5 + 0.25 * rows.sin() + 0.25 * columns.cos())[:, None]
