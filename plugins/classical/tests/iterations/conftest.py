"""Small problems that the tests of iterations share; fidelities of other plugins come by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wellposed import LinearOperator, Space
from wellposed.registry import component
from wellposed.structure import Structure

torch.set_num_threads(1)


class MatrixOperator(LinearOperator):
    """`y = M vec(x)`, real or complex, without any closed form; `isometry` declares `M*M = c·I`."""

    def __init__(self, matrix: Tensor, shape: tuple[int, ...], isometry: float | None = None) -> None:
        super().__init__(Space(shape, matrix.dtype), Space((len(matrix),), matrix.dtype))
        self.register_buffer("matrix", matrix)
        self.isometry = isometry

    matrix: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix.mT

    def structure(self) -> Structure:
        return Structure(isometry=self.isometry)

    def _adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix.conj()).reshape(-1, *self.domain.shape)


@pytest.fixture
def dense() -> Callable[..., MatrixOperator]:
    """`dense(matrix, shape)`: a matrix as an operator on images of `shape`, by default `(1, columns)`."""

    def make(matrix: Tensor, shape: tuple[int, ...] | None = None, isometry: float | None = None) -> MatrixOperator:
        return MatrixOperator(matrix, shape or (1, matrix.shape[1]), isometry)

    return make


@pytest.fixture
def normal() -> Callable[..., Tensor]:
    """`normal(*shape, seed=0, dtype=float64)`: seeded normal numbers."""

    def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    return draw


@pytest.fixture
def fidelity() -> Callable[..., torch.nn.Module]:
    """`fidelity(name, **arguments)`: a registered fidelity."""
    return lambda name, **arguments: component("fidelities", name)(**arguments)
