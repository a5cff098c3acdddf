"""Operators that break one promise are caught by the check of that promise, and by few others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.operator import LinearOperator, RowBlock
from wellposed.space import Space
from wellposed.testing import check_component
from wellposed.testing.doubles import DenseOperator, SaturatingOperator


class ScaledAdjoint(DenseOperator):
    def _adjoint(self, y: Tensor) -> Tensor:
        return 1.01 * super()._adjoint(y)


class ForeignAdjoint(DenseOperator):
    def _adjoint(self, y: Tensor) -> Tensor:
        return super()._adjoint(y.flip(-1))


class Offset(DenseOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return super()._forward(x) + 1e-6


class Absolute(DenseOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return super()._forward(x.abs())


class SmallNorm(DenseOperator):
    def _norm(self) -> float:
        return 0.999 * float(torch.linalg.matrix_norm(self.matrix, 2))


class LooseNorm(DenseOperator):
    def _norm(self) -> float:
        return float(torch.linalg.matrix_norm(self.matrix))


class WrongGram(DenseOperator):
    def _gram(self, x: Tensor) -> Tensor:
        return 2 * super()._gram(x)


class WrongPinv(DenseOperator):
    def _pinv(self, y: Tensor) -> Tensor:
        return 3 * super()._pinv(y)


class RoughSolve(DenseOperator):
    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        return super()._solve_normal(rhs, shift) * (1 + 1e-6)


class SharedShift(DenseOperator):
    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        return super()._solve_normal(rhs, shift.mean())


class LosingRows(DenseOperator):
    def row_blocks(self, count: int) -> list[RowBlock]:
        return [*super().row_blocks(count)][:-1] if count > 1 else list(super().row_blocks(count))


class Leaking(DenseOperator):
    """Subtracts the mean over the batch."""

    def _forward(self, x: Tensor) -> Tensor:
        return super()._forward(x - x.mean(0, keepdim=True))

    def _adjoint(self, y: Tensor) -> Tensor:
        x = super()._adjoint(y)
        return x - x.mean(0, keepdim=True)


class WritingIntoInput(DenseOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return super()._forward(x.mul_(1.0).add_(0.0).clamp_(-1.0, 1.0) * 1.0)


class Remembering(DenseOperator):
    """A warm start: the second call on the same image sees the first one."""

    def _forward(self, x: Tensor) -> Tensor:
        before = getattr(self, "last", 0.0)
        self.last = float(x.sum())
        return super()._forward(x) + 1e-3 * before


class Unchecked(DenseOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1)[:, :4].to(self.matrix.dtype) @ self.matrix.T


class WrongRange(DenseOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return super()._forward(x)[:, :, None]


class Downcasting(DenseOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return super()._forward(x).float().to(x.dtype)


class ComplexBuffer(DenseOperator):
    """Holds a complex tensor, which `.to(float64)` makes real."""

    def __init__(self, matrix: list[list[float]], shape: list[int]) -> None:
        super().__init__(matrix, shape)
        self.register_buffer("phase", torch.tensor([1.0 + 1j]))


class NeedsContiguous(DenseOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1) @ self.matrix.T


class Multiplying(LinearOperator):
    """Complex numbers times a phase, with the phase not conjugated in the adjoint."""

    source = "test"

    def __init__(self) -> None:
        super().__init__(Space((4,), torch.complex64), Space((4,), torch.complex64))

    def _forward(self, x: Tensor) -> Tensor:
        return x * (0.6 + 0.8j)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * (0.6 + 0.8j)


class RightComplex(Multiplying):
    def _adjoint(self, y: Tensor) -> Tensor:
        return y * (0.6 - 0.8j)


class WrongDerivative(SaturatingOperator):
    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return 1.05 * super().vjp(x, v)


class SmallBound(SaturatingOperator):
    def norm(self) -> float:
        return 1.2 * self.linear.norm()


_ADJOINT = {"adjoint-is-exact", "adjoint-is-exact-in-float32", "row-blocks-partition-rows"}
_WRONG = {
    ScaledAdjoint: _ADJOINT,
    ForeignAdjoint: _ADJOINT | {"solve-normal-solves"},
    Offset: {"is-linear-map", "adjoint-is-exact", "row-blocks-partition-rows"},
    Absolute: _ADJOINT | {"is-linear-map", "solve-normal-solves"},
    SmallNorm: {"norm-is-tight-bound"},
    LooseNorm: {"norm-is-tight-bound"},
    WrongGram: {"gram-is-adjoint-of-forward", "norm-is-tight-bound"},
    WrongPinv: {"pinv-explains-the-measurement", "pinv-is-the-pseudo-inverse"},
    RoughSolve: {"solve-normal-solves"},
    SharedShift: {"solve-normal-solves"},
    LosingRows: {"row-blocks-partition-rows"},
    Leaking: {"treats-samples-independently", "selects-samples"},
    WritingIntoInput: {"leaves-inputs-unchanged"},
    Remembering: {"is-deterministic"},
    Unchecked: {"refuses-what-is-not-in-its-domain"},
    WrongRange: {"maps-domain-to-range"},
    Downcasting: {"adjoint-is-exact", "is-linear-map"},
    ComplexBuffer: {"moves-between-precisions"},
    NeedsContiguous: {"takes-strided-input"},
    Multiplying: {"adjoint-is-exact", "adjoint-is-exact-in-float32"},
    WrongDerivative: {"derivative-is-right", "derivative-is-autograd"},
    SmallBound: {"norm-bounds-derivative"},
}


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("cls", _WRONG, ids=lambda cls: cls.__name__)
def test_wrong_operator_is_caught(cls: type, failures) -> None:
    assert _WRONG[cls] <= set(failures("operators", cls))


@pytest.mark.parametrize("cls", [DenseOperator, SaturatingOperator, RightComplex], ids=lambda cls: cls.__name__)
def test_right_operator_passes(cls: type, failures) -> None:
    assert failures("operators", cls) == {}


def test_message_tells_the_scale_of_a_scaled_adjoint(failures) -> None:
    message = failures("operators", ScaledAdjoint)["adjoint-is-exact"]
    assert "Multiplied by 0.990099 it would be exact" in message


def test_message_tells_that_a_foreign_adjoint_is_no_multiple(failures) -> None:
    assert "no multiple of the true adjoint" in failures("operators", ForeignAdjoint)["adjoint-is-exact"]


def test_narrow_mistakes_fail_nothing_else(failures) -> None:
    """A wrong norm, a lossy solve or a lost row must not blur into other failures."""
    for cls in (SmallNorm, LooseNorm, RoughSolve, SharedShift, LosingRows, SmallBound, WrongPinv):
        assert set(failures("operators", cls)) == _WRONG[cls]


def test_single_row_block_may_not_be_refused() -> None:
    class Unsplittable(DenseOperator):
        def row_blocks(self, count: int) -> list[RowBlock]:
            raise InputError("no blocks")

    results = {r.check: r for r in check_component("operators", Unsplittable)}
    assert not results["row-blocks-partition-rows"].ok
