"""Truncated singular value decomposition of small operators."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import InputError, LinearOperator, Operator, Problem
from wellposed.solver import DirectSolver

from .linear import linear

#: Unknowns (twice as many for complex images) up to which the dense matrix is formed.
_LARGEST = 4096
_COLUMNS_AT_ONCE = 256


class TruncatedSVD(DirectSolver):
    """`x = Σ_{i ≤ r} <u_i, y>/σ_i v_i` for `A = Σ σ_i u_i v_iᵀ`.

    `r` is `rank`, lowered to the singular values above `threshold·σ_1`. The decomposition of the operator that was
    used last is kept, so that many measurements of one operator cost one decomposition. Complex spaces
    are real ones of twice the dimension.

    Args:
        rank: how many singular values are kept at most; all by default.
        threshold: relative size under which singular values are dropped.

    Raises `InputError` for settings out of range and for operators of more than 4096 unknowns, whose dense
    matrix would not fit; `CompositionError` for nonlinear ones. Source: Hansen 1987, eq. (2.5).
    """

    source = "Hansen, The truncated SVD as a method for regularization, BIT 27, 1987, eq. (2.5)"

    def __init__(self, rank: int | None = None, threshold: float = 1e-6) -> None:
        super().__init__()
        if rank is not None and rank < 1:
            raise InputError(f"the rank must be at least 1; got {rank}")
        if not 0 <= threshold < 1:
            raise InputError(f"the threshold is relative to the largest singular value, in [0, 1); got {threshold}")
        self.rank, self.threshold = rank, threshold
        self._kept: tuple[LinearOperator, torch.dtype, torch.device, _Decomposition] | None = None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"rank": 5, "threshold": 0.0})

    def check(self, problem: Problem) -> None:
        self._small_enough(linear(self, problem.operator))

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        operator = linear(self, operator)
        operator.check_range(y)
        u, s, vh = self._decomposition(operator, y)
        keep = int((s > self.threshold * s[0]).sum())
        keep = keep if self.rank is None else min(keep, self.rank)
        coefficients = (_real(y) @ u[:, :keep]) / s[:keep]
        return _as(coefficients @ vh[:keep], operator.domain.shape, operator.domain.is_complex)

    def _decomposition(self, operator: LinearOperator, y: Tensor) -> _Decomposition:
        dtype = y.dtype.to_real()
        if self._kept is not None:
            kept, kept_dtype, device, decomposition = self._kept
            if kept is operator and kept_dtype == dtype and device == y.device and not operator.has_learned_parameters:
                return decomposition
        self._small_enough(operator)
        u, s, vh = torch.linalg.svd(_matrix(operator, y), full_matrices=False)
        self._kept = (operator, dtype, y.device, (u, s, vh))
        return u, s, vh

    def _small_enough(self, operator: LinearOperator) -> None:
        unknowns = operator.domain.size * (2 if operator.domain.is_complex else 1)
        if unknowns > _LARGEST:
            raise InputError(
                f"{type(operator).__name__} has {unknowns} unknowns; a dense singular value decomposition takes at "
                f"most {_LARGEST}. Use tikhonov-direct, or conjugate-gradient stopped early"
            )


_Decomposition = tuple[Tensor, Tensor, Tensor]


def _matrix(operator: LinearOperator, like: Tensor) -> Tensor:
    """The dense real matrix `(range, domain)`, from the images of unit vectors, many at a time."""
    space = operator.domain
    size = space.size * (2 if space.is_complex else 1)
    identity = torch.eye(size, dtype=like.dtype.to_real(), device=like.device)
    with torch.no_grad():
        parts = [_real(operator(_as(rows, space.shape, space.is_complex))) for rows in identity.split(_COLUMNS_AT_ONCE)]
    return torch.cat(parts).mT


def _real(t: Tensor) -> Tensor:
    return (torch.view_as_real(t.resolve_conj()) if t.is_complex() else t).flatten(1)


def _as(rows: Tensor, shape: tuple[int, ...], is_complex: bool) -> Tensor:
    if not is_complex:
        return rows.reshape(len(rows), *shape)
    pairs = rows.reshape(len(rows), *shape, 2)
    return torch.complex(pairs[..., 0], pairs[..., 1])
