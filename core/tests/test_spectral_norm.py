"""Norms and largest eigenvalues from above, also where the start knows next to nothing of the leading vector."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wellposed import LinearOperator, Space
from wellposed.spectral_norm import largest_eigenvalue, spectral_norm

PRECISIONS = [torch.float32, torch.float64]


class Diagonal(LinearOperator):
    """`y = d·x`."""

    def __init__(self, diagonal: Tensor) -> None:
        super().__init__(Space(tuple(diagonal.shape)), Space(tuple(diagonal.shape)))
        self.register_buffer("diagonal", diagonal)

    diagonal: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return self.diagonal * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.diagonal * y


class RankOne(LinearOperator):
    """`y = x + ½<q, x> q`, of norm 1.5 for unit vectors `q`."""

    def __init__(self, q: Tensor) -> None:
        super().__init__(Space(tuple(q.shape)), Space(tuple(q.shape)))
        self.register_buffer("q", q)

    q: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * (x @ self.q)[:, None] * self.q

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)


class Dense(LinearOperator):
    def __init__(self, matrix: Tensor) -> None:
        super().__init__(Space((matrix.shape[1],), matrix.dtype), Space((matrix.shape[0],), matrix.dtype))
        self.register_buffer("matrix", matrix)

    matrix: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.mT

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix.conj()


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_it_is_tight_from_above(dtype: torch.dtype) -> None:
    for seed in range(10):
        matrix = normal(40, 30, seed=seed, dtype=dtype)
        exact = float(torch.linalg.matrix_norm(matrix, 2))
        rounding = 50 * torch.finfo(dtype).eps
        assert exact * (1 - rounding) <= spectral_norm(Dense(matrix)) <= exact * 1.0011


def test_special_matrices() -> None:
    assert spectral_norm(Dense(torch.zeros(3, 4))) == 0.0
    assert spectral_norm(Dense(3 * torch.eye(5))) == pytest.approx(3.0, rel=1e-4)
    assert spectral_norm(Dense(torch.tensor([[2.0]]))) == pytest.approx(2.0, rel=1e-4)


def _one_large(size: float) -> Callable[[int, torch.Generator], Tensor]:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        diagonal = torch.ones(n, dtype=torch.float64)
        diagonal[int(torch.randint(n, (1,), generator=generator))] = size
        return diagonal

    return draw


def _uniform_and_one(size: float) -> Callable[[int, torch.Generator], Tensor]:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        diagonal = torch.rand(n, generator=generator, dtype=torch.float64)
        diagonal[int(torch.randint(n, (1,), generator=generator))] = size
        return diagonal

    return draw


SPECTRA = {
    "one entry of 1.5 among ones": _one_large(1.5),
    "one entry of 1.01 among ones": _one_large(1.01),
    "one entry of 1e4 among ones": _one_large(1e4),
    "one entry just above a uniform spectrum": _uniform_and_one(1.005),
    "one entry above a uniform spectrum": _uniform_and_one(1.02),
    "a uniform spectrum": _uniform_and_one(0.5),
    "crowded at the top": lambda n, _: torch.linspace(0, 1, n, dtype=torch.float64) ** 0.1,
    "tiny entries": lambda n, g: 1e-8 * torch.rand(n, generator=g, dtype=torch.float64),
}


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_it_is_not_below_the_norm_of_adverse_spectra(spectrum: str, dtype: torch.dtype) -> None:
    for seed in range(3):
        diagonal = SPECTRA[spectrum](10_000, torch.Generator().manual_seed(seed)).to(dtype)
        exact = float(diagonal.abs().max())
        assert exact * (1 - 1e-5) <= spectral_norm(Diagonal(diagonal)) <= 1.01 * exact


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_it_is_not_below_where_the_start_is_smallest_or_blind(dtype: torch.dtype) -> None:
    # The very numbers that the recurrence starts from, chosen against it.
    start = torch.randn((1, 10_000), generator=torch.Generator().manual_seed(0), dtype=dtype)[0]
    diagonal = torch.ones(10_000, dtype=dtype)
    diagonal[int(start.abs().argmin())] = 1.5
    assert 1.4999 <= spectral_norm(Diagonal(diagonal)) <= 1.515
    q = normal(10_000, seed=9, dtype=dtype)
    q = q - start * (start @ q) / (start @ start)
    assert 1.4999 <= spectral_norm(RankOne(q / q.norm())) <= 1.515


def test_eigenvalues_are_per_sample() -> None:
    factors = normal(5, 20, 20)
    matrices = factors @ factors.mT * torch.tensor([1.0, 1e-6, 1e6, 3.0, 0.0], dtype=torch.float64)[:, None, None]
    found = largest_eigenvalue(lambda v: torch.einsum("bij,bj->bi", matrices, v), normal(5, 20))
    exact = torch.linalg.eigvalsh(matrices)[:, -1]
    assert bool(((found >= exact * (1 - 1e-12)) & (found <= 1.021 * exact)).all())
