"""A random matrix with columns of norm 1."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import ShapeError
from wellposed.interface import KnownValue
from wellposed.pattern import Pattern


class GaussianColumns(Pattern):
    """A matrix of independent normal entries, its columns then scaled to Euclidean norm 1; float64.

    The sensing matrix of the LISTA family's synthetic problems, `seed` its draw. Raises `ShapeError` for shapes
    other than `(rows, columns)`.
    """

    source = "Chen, Liu, Wang & Yin 2018, arXiv:1808.10038, section 4.1"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        entries = torch.randn((3, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        return (KnownValue(((3, 2),), entries / entries.square().sum(0).sqrt(), {"seed": 1}),)

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        if len(shape) != 2 or min(shape) < 1:
            raise ShapeError(f"gaussian-columns makes matrices (rows, columns); {tuple(shape)} was asked for")
        entries = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64)
        return entries / entries.norm(dim=0)
