"""Direct solvers against dense linear algebra, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import CompositionError, InputError, LinearOperator, Operator, Space, Verdict
from wellposed.fidelity import Unstated
from wellposed.problem import Problem
from wellposed.pseudo_inverse import PseudoInverse
from wellposed_classical.solvers.filtered_backprojection import FilteredBackprojection
from wellposed_classical.solvers.measurement import Measurement
from wellposed_classical.solvers.tikhonov_direct import TikhonovDirect
from wellposed_classical.solvers.truncated_svd import TruncatedSVD
from wellposed_classical.solvers.zero_filled import ZeroFilled


class Dense(LinearOperator):
    """A matrix of the test, real or complex."""

    def __init__(self, rows: int, columns: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__(Space((1, columns), dtype), Space((rows,), dtype))
        generator = torch.Generator().manual_seed(0)
        self.matrix = torch.randn(rows, columns, generator=generator, dtype=dtype)

    def _forward(self, x: Tensor) -> Tensor:
        return x[:, 0] @ self.matrix.mT

    def _adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix.conj())[:, None]


class Square(Operator):
    """A nonlinear operator."""

    def __init__(self) -> None:
        super().__init__(Space((1, 4)), Space((1, 4)))

    def _forward(self, x: Tensor) -> Tensor:
        return x**2


def measured(operator: Operator, batch: int = 3) -> Tensor:
    return operator.range.randn(batch, torch.Generator().manual_seed(1), torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_full_truncated_svd_is_the_pseudo_inverse(dtype: torch.dtype) -> None:
    operator = Dense(9, 6, dtype)
    y = measured(operator)
    expected = (y @ torch.linalg.pinv(operator.matrix).mT)[:, None]
    torch.testing.assert_close(TruncatedSVD(threshold=0.0)(y, operator), expected, rtol=1e-10, atol=1e-10)


def test_rank_and_threshold_keep_the_largest_singular_values() -> None:
    operator = Dense(9, 6)
    y = measured(operator)
    u, s, vh = torch.linalg.svd(operator.matrix, full_matrices=False)
    for solver, keep in ((TruncatedSVD(rank=2), 2), (TruncatedSVD(threshold=float(s[3] / s[0])), 3)):
        expected = ((y @ u[:, :keep]) / s[:keep]) @ vh[:keep]
        torch.testing.assert_close(solver(y, operator)[:, 0], expected, rtol=1e-9, atol=1e-9)


def test_the_decomposition_follows_the_operator() -> None:
    solver, first, second = TruncatedSVD(), Dense(9, 6), Dense(7, 4)
    y = measured(first)
    before = solver(y, first)
    solver(measured(second), second)
    assert torch.equal(solver(y, first), before)


def test_tikhonov_solves_its_normal_equations_and_is_differentiable() -> None:
    operator = Dense(5, 8)
    y = measured(operator).requires_grad_()
    x = TikhonovDirect(0.3)(y, operator)
    normal = operator.matrix.mT @ operator.matrix + 0.3 * torch.eye(8, dtype=torch.float64)
    expected = torch.linalg.solve(normal, (y @ operator.matrix).mT).mT
    torch.testing.assert_close(x[:, 0], expected, rtol=1e-9, atol=1e-9)
    assert torch.autograd.gradcheck(lambda v: TikhonovDirect(0.3)(v, operator), y, atol=1e-6)


@pytest.mark.parametrize("solver", [FilteredBackprojection(), ZeroFilled()])
def test_operators_without_the_method_are_refused_with_names_of_those_that_have_it(solver) -> None:
    operator = Dense(9, 6)
    y = measured(operator)
    with pytest.raises(CompositionError, match="Operators that have it"):
        solver.check(Problem(operator, y, Unstated()))
    with pytest.raises(CompositionError, match="Operators that have it"):
        solver(y, operator)


@pytest.mark.parametrize("solver", [TikhonovDirect(1.0), PseudoInverse(), TruncatedSVD()])
def test_nonlinear_operators_are_refused(solver) -> None:
    with pytest.raises(CompositionError, match="is not linear"):
        solver(torch.ones(1, 1, 4), Square())


def test_a_measurement_that_is_not_finite_gets_its_verdict_and_spares_the_others() -> None:
    operator = Dense(9, 6)
    y = measured(operator)
    clean = TruncatedSVD()(y, operator)
    y[1, 2] = float("nan")
    solution = TruncatedSVD().solve(Problem(operator, y, Unstated()))
    assert solution.verdict == (Verdict.COMPLETED, Verdict.NON_FINITE_MEASUREMENT, Verdict.COMPLETED)
    assert torch.equal(solution.x[0], clean[0])
    assert bool((solution.x[1] == 0).all())


@pytest.mark.parametrize(
    "make",
    [
        lambda: TruncatedSVD(rank=0),
        lambda: TruncatedSVD(threshold=1.0),
        lambda: TikhonovDirect(0.0),
        lambda: FilteredBackprojection(cutoff=0.0),
        lambda: FilteredBackprojection(cutoff=2.0),
    ],
)
def test_settings_out_of_range_are_told(make) -> None:
    with pytest.raises(InputError):
        make()


def test_large_operators_are_refused_before_any_work() -> None:
    with pytest.raises(InputError, match="4096"):
        TruncatedSVD().check(Problem(Dense(2, 5000), torch.zeros(1, 2, dtype=torch.float64), Unstated()))


def test_the_measurement_is_an_image_only_in_the_space_of_images() -> None:
    operator, y = Square(), torch.rand(2, 1, 4, dtype=torch.float64)
    solution = Measurement().solve(Problem(operator, y, Unstated()))
    assert torch.equal(solution.x, y)
    assert solution.x is not y
    with pytest.raises(CompositionError, match="no images like"):
        Measurement()(measured(Dense(9, 6)), Dense(9, 6))
    with pytest.raises(CompositionError, match="no images like"):
        Measurement().check(Problem(Dense(9, 6), measured(Dense(9, 6)), Unstated()))
