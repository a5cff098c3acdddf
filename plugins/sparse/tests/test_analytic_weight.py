"""The analytic weight: of least coherence, found once for each operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import wellposed
from wellposed.errors import CompositionError, InputError
from wellposed.operator import LinearOperator
from wellposed.space import Space
from wellposed.testing.doubles import DenseOperator
from wellposed_sparse.analytic_weight import analytic_weight, dense_matrix
from wellposed_sparse.solvers.alista import ALISTA


def coherence(w: Tensor, a: Tensor) -> float:
    return float((w.T @ a).norm())


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (9, 9)])
def test_its_columns_have_product_1_with_those_of_the_matrix(shape: tuple[int, int]) -> None:
    a = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    w = analytic_weight(a)
    assert torch.allclose((w * a).sum(0), torch.ones(shape[1], dtype=torch.float64), atol=1e-12)


def test_no_other_weight_is_less_coherent() -> None:
    """First-order optimality on the constraint `w_iᵀ a_i = 1`, and every step away from it is worse."""
    a = torch.randn(12, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    w = analytic_weight(a)
    gradient = 2 * a @ (a.T @ w)
    across = gradient - a * ((gradient * a).sum(0) / a.square().sum(0))
    assert float(across.norm()) < 1e-10 * float(gradient.norm())
    generator = torch.Generator().manual_seed(2)
    for _ in range(20):
        step = torch.randn(w.shape, generator=generator, dtype=torch.float64)
        step -= a * ((step * a).sum(0) / a.square().sum(0))
        assert coherence(w + 0.1 * step, a) > coherence(w, a)


def test_of_an_invertible_matrix_it_is_the_inverse() -> None:
    a = torch.randn(9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.allclose(analytic_weight(a).T @ a, torch.eye(9, dtype=torch.float64), atol=1e-10)


@pytest.mark.parametrize("rows", [30, 4000])
def test_bad_conditioning_and_many_measurements_cost_no_digits(rows: int) -> None:
    """With independent columns the least coherence is none, `Wᵀ A = I`, however close they are to dependent ones."""
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.linalg.qr(torch.randn(n, 30, generator=generator, dtype=torch.float64)).Q for n in (rows, 30))
    a = left @ torch.diag(torch.logspace(0, -9, 30, dtype=torch.float64)) @ right
    assert torch.allclose(analytic_weight(a).T @ a, torch.eye(30, dtype=torch.float64), atol=1e-4)


def test_it_is_that_of_the_authors(shared: Path) -> None:
    """Theirs is an iteration stopped early: 22.366 with a diagonal of 0.998; scaled to 1 it is 22.411, as here."""
    folder = shared / "sparse" / "alista"
    a = wellposed.component("patterns", "file-pattern")(str(folder / "D.mat"))((250, 500)).double()
    theirs = torch.from_numpy(np.load(folder / "W.npy")).double()
    ours = analytic_weight(a)
    assert float((ours - theirs).norm() / theirs.norm()) < 0.003
    eye = torch.eye(500, dtype=torch.float64)
    assert float((ours.T @ a - eye).norm()) == pytest.approx(22.411, abs=1e-3)
    scaled = theirs / (theirs * a).sum(0)
    assert coherence(ours, a) <= coherence(scaled, a)


@pytest.mark.parametrize("shape", [(7, 300), (300, 7)])
def test_the_matrix_of_an_operator_is_read_by_unit_vectors(shape: tuple[int, int]) -> None:
    a = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    operator = DenseOperator.from_tensor(a, (1, shape[1]))
    assert torch.equal(dense_matrix(operator, torch.zeros(1, dtype=torch.float64)), a)


class Counting(DenseOperator):
    """Counts how often it is applied to more than one sample's worth of unit vectors."""

    calls = 0

    def _adjoint(self, y: Tensor) -> Tensor:
        type(self).calls += 1
        return super()._adjoint(y)


def test_it_is_computed_once_for_each_operator_and_precision(dense: LinearOperator) -> None:
    operator = Counting.from_tensor(dense.matrix, (1, 20))  # type: ignore[arg-type]
    solver = ALISTA(layers=2).double()
    y = torch.randn(3, *operator.range.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first = solver(y, operator)
    assert Counting.calls == 1
    solver(2 * y, operator)
    assert torch.equal(solver(y, operator), first)
    assert Counting.calls == 1
    solver(y, dense)  # another operator does not disturb the first
    assert torch.equal(solver(y, operator), first)
    assert Counting.calls == 1
    solver.float()(y.float(), operator.float())
    assert Counting.calls == 2


def test_it_can_be_trained_with_after_inference(dense: LinearOperator) -> None:
    """What inference computed first is kept, and must be a tensor that a tape may hold."""
    solver, y = ALISTA(layers=2).double(), torch.randn(3, *dense.range.shape, dtype=torch.float64)
    with torch.inference_mode():
        expected = solver(y, dense)
    x = solver(y, dense)
    x.square().sum().backward()
    assert torch.equal(x, expected)


def test_what_has_no_weight_is_refused_in_a_sentence(dense: LinearOperator) -> None:
    matrix = dense.matrix.clone()  # type: ignore[operator]
    matrix[:, 7] = 0
    with pytest.raises(InputError, match=r"column 7 of the operator's matrix is zero"):
        analytic_weight(matrix)

    class Huge(LinearOperator):
        def __init__(self) -> None:
            super().__init__(Space((1, 10_000)), Space((10_000,)))

        def _forward(self, x: Tensor) -> Tensor:
            return x[:, 0]

        def _adjoint(self, y: Tensor) -> Tensor:
            return y[:, None]

    solver, operator = ALISTA(), Huge()
    with pytest.raises(CompositionError, match=r"has more than 67108864 entries\. Work on blocks or patches"):
        solver.check(solver.pose(torch.zeros(1, 10_000), operator))
    fourier = wellposed.component("operators", "fourier")((4, 4), mask=wellposed.component("patterns", "full-mask")())
    with pytest.raises(CompositionError, match="is complex"):
        solver.check(solver.pose(fourier.range.zeros(1, torch.device("cpu"), torch.float32), fourier))
