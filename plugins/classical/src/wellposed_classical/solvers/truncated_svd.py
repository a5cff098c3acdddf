"""Reconstruction from the largest singular values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from wellposed import CompositionError, InputError, LinearOperator, Problem

from ..iterations.constants import is_shared
from ..iterations.memo import OperatorMemo, placement
from .direct import LinearSolver

#: Numbers in the largest dense matrix that is decomposed: 4096 × 4096, one minute on one core.
_LARGEST = 2**24
_CHUNK = 256


@dataclass(frozen=True)
class _Decomposition:
    """`A = Σ_i σ_i u_i v_i*` as real matrices: `left` `(m, r)`, `values` `(r,)`, `right` `(n, r)`."""

    left: Tensor
    values: Tensor
    right: Tensor


class TruncatedSVD(LinearSolver):
    """`x = Σ_i <y, u_i>/σ_i v_i` over the singular triples that are kept: the spectral cut-off.

    Keeps the `rank` largest, or those with `σ_i ≥ threshold·σ_1`; exactly one of the two is given.
    Measurements `(B, *range.shape)` to images `(B, *domain.shape)`. The operator is turned into a dense
    matrix and decomposed in float64, once; complex spaces count as real ones of twice the size.

    Raises `CompositionError` for nonlinear and large operators, where conjugate gradients or Landweber's
    iteration, stopped early, filter the singular values in much the same way.
    Source: Hansen 1987, The truncated SVD as a method for regularization.
    """

    source = "Hansen 1987, The truncated SVD as a method for regularization, eq. (3)"

    def __init__(self, rank: int | None = None, threshold: float | None = None) -> None:
        super().__init__()
        if (rank is None) == (threshold is None):
            raise InputError("TruncatedSVD takes a rank or a threshold, one of the two")
        if rank is not None and rank < 1:
            raise InputError(f"TruncatedSVD keeps at least one singular value; rank {rank} was given")
        if threshold is not None and not 0 < threshold <= 1:
            raise InputError(
                f"the threshold is a fraction of the largest singular value in (0, 1]; got {threshold}"
            )
        self.rank, self.threshold = rank, threshold
        self.memo = OperatorMemo()

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"rank": 5}, {"threshold": 0.1})

    def check(self, problem: Problem) -> None:
        _refuse_large(self.linear(problem.operator))

    def reconstruct(self, y: Tensor, operator: LinearOperator) -> Tensor:
        _refuse_large(operator)
        svd = self.memo.get(operator, ("svd", placement(y)), lambda: decompose(operator, y))
        kept = self._kept(svd.values)
        coefficients = _real(y).to(svd.left.dtype) @ svd.left[:, :kept] / svd.values[:kept]
        return _image(coefficients @ svd.right[:, :kept].T, operator, y)

    def _kept(self, values: Tensor) -> int:
        """How many singular triples count; those that are zero but for rounding never do."""
        floor = float(values[0]) * torch.finfo(values.dtype).eps * len(values)
        level = floor if self.threshold is None else max(floor, self.threshold * float(values[0]))
        count = int((values >= level).sum()) if float(values[0]) > 0 else 0
        return count if self.rank is None else min(self.rank, count)


def decompose(operator: LinearOperator, like: Tensor) -> _Decomposition:
    """The singular value decomposition of an operator, in float64 on the device of `like`."""
    size = operator.domain.size * (2 if operator.domain.is_complex else 1)
    precision = like.dtype.to_real()
    columns = []
    with torch.no_grad():
        for start in range(0, size, _CHUNK):
            stop = min(start + _CHUNK, size)
            units = torch.zeros(stop - start, size, dtype=precision, device=like.device)
            units[torch.arange(stop - start), torch.arange(start, stop)] = 1.0
            columns.append(_real(operator(_image(units, operator, like))).double())
    matrix = torch.cat(columns).T
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return _Decomposition(left, values, right.T.contiguous())


def _refuse_large(operator: LinearOperator) -> None:
    if not is_shared(operator):
        raise CompositionError(
            f"TruncatedSVD decomposes one matrix for the whole batch; {type(operator).__name__} holds one per "
            f"sample. Iterations that fit: conjugate-gradient or landweber, stopped early"
        )
    rows, columns = operator.range.size, operator.domain.size
    factor = 2 if operator.domain.is_complex or operator.range.is_complex else 1
    if rows * columns * factor**2 > _LARGEST:
        raise CompositionError(
            f"TruncatedSVD decomposes the operator as a dense matrix; {type(operator).__name__} has {rows} × {columns} "
            f"entries, more than {_LARGEST // 10**6} million numbers. conjugate-gradient or landweber, stopped early, "
            f"and tikhonov-direct damp small singular values without the matrix"
        )


def _real(tensor: Tensor) -> Tensor:
    """Batched samples as real rows `(B, n)`."""
    return (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).flatten(1)


def _image(rows: Tensor, operator: LinearOperator, like: Tensor) -> Tensor:
    """Real rows as images of the operator's domain, in the precision of `like`."""
    rows = rows.to(like.dtype.to_real())
    if operator.domain.is_complex:
        pairs = rows.reshape(len(rows), *operator.domain.shape, 2)
        return torch.complex(pairs[..., 0], pairs[..., 1])
    return rows.reshape(len(rows), *operator.domain.shape)
