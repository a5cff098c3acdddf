"""What operators declare of themselves, and what the algebra makes of it, against dense matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import LinearOperator, Space, stack
from wellposed.structure import Structure


class Declared(LinearOperator):
    """A matrix with a declaration."""

    def __init__(self, matrix: Tensor, structure: Structure) -> None:
        super().__init__(Space((matrix.shape[1],)), Space((matrix.shape[0],)))
        self.register_buffer("matrix", matrix)
        self.declared = structure

    matrix: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.mT

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix

    def structure(self) -> Structure:
        return self.declared


def orthonormal(rows: int, columns: int, seed: int = 0) -> Tensor:
    tall = torch.randn(max(rows, columns), min(rows, columns), generator=torch.Generator().manual_seed(seed))
    q, _ = torch.linalg.qr(tall.double())
    return q if rows >= columns else q.mT


def isometry(rows: int, columns: int, factor: float, seed: int = 0) -> Declared:
    matrix = factor**0.5 * orthonormal(rows, columns, seed)
    whole = factor if rows == columns else None
    return Declared(matrix, Structure(isometry=factor, coisometry=whole))


def coisometry(rows: int, columns: int, factor: float, seed: int = 0) -> Declared:
    return Declared(factor**0.5 * orthonormal(rows, columns, seed), Structure(coisometry=factor))


def diagonal(*values: float) -> Declared:
    d = torch.tensor(values, dtype=torch.float64)
    return Declared(torch.diag(d.sqrt()), Structure(diagonal=d, norm=float(d.max()) ** 0.5))


def matrix_of(operator: LinearOperator) -> Tensor:
    return operator(torch.eye(operator.domain.size, dtype=torch.float64)).mT


def assert_holds(operator: LinearOperator) -> Structure:
    """Every declared number against the matrix."""
    found, a = operator.structure(), matrix_of(operator)
    gram, outer = a.mT @ a, a @ a.mT
    if found.isometry is not None:
        torch.testing.assert_close(gram, found.isometry * torch.eye(len(gram), dtype=torch.float64))
    if found.coisometry is not None:
        torch.testing.assert_close(outer, found.coisometry * torch.eye(len(outer), dtype=torch.float64))
    if found.projection is not None:
        torch.testing.assert_close(gram @ gram, found.projection * gram)
    if found.diagonal is not None:
        expected = torch.diag(found.diagonal.double().expand(len(gram)).clone())
        torch.testing.assert_close(gram, expected)
    if found.norm is not None:
        assert found.norm == pytest.approx(float(torch.linalg.matrix_norm(a, 2)))
        assert operator.norm() == pytest.approx(found.norm)
    return found


A, B = isometry(6, 4, 2.0), coisometry(3, 6, 0.5, seed=1)
SQUARE, OTHER = isometry(4, 4, 3.0, seed=2), isometry(4, 4, 0.25, seed=3)
BARE = Declared(torch.arange(12.0, dtype=torch.float64).reshape(3, 4), Structure())


@pytest.mark.parametrize(
    ("operator", "known"),
    [
        (A, {"isometry", "projection", "norm"}),
        (-3.0 * A, {"isometry", "projection", "norm"}),
        (A.T, {"coisometry", "projection", "norm"}),
        (B, {"coisometry", "projection", "norm"}),
        (B.T, {"isometry", "projection", "norm"}),
        (SQUARE @ OTHER, {"isometry", "coisometry", "projection", "norm"}),
        (A @ SQUARE, {"isometry", "projection", "norm"}),
        (B @ A, set()),
        (SQUARE @ diagonal(1.0, 4.0, 0.0, 2.0), {"diagonal", "norm"}),
        (diagonal(1.0, 4.0, 0.0, 2.0) @ SQUARE, {"norm"}),
        (2.0 * diagonal(1.0, 4.0, 0.0, 2.0), {"diagonal", "norm"}),
        (stack([A, 2.0 * A, SQUARE]), {"isometry", "projection", "norm"}),
        (stack([A, BARE]), set()),
        (stack([diagonal(1.0, 4.0, 0.0, 2.0), diagonal(2.0, 0.0, 0.0, 1.0)]), {"diagonal"}),
        (0.0 * A, {"norm"}),
        (BARE @ SQUARE, set()),
        (B.T @ B, {"projection", "norm"}),
        (A + A, set()),
    ],
)
def test_the_algebra_declares_what_holds(operator: LinearOperator, known: set[str]) -> None:
    found = assert_holds(operator)
    assert {name for name in known if getattr(found, name) is None} == set()
    declared = {
        n for n in ("isometry", "coisometry", "projection", "diagonal", "norm") if getattr(found, n) is not None
    }
    assert declared == known


def test_nothing_is_found_by_probing() -> None:
    undeclared = Declared(torch.eye(4, dtype=torch.float64), Structure())
    assert undeclared.structure() == Structure()
