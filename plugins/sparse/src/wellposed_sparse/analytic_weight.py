"""The analytic weight of ALISTA, in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import CompositionError, InputError
from wellposed.operator import LinearOperator, Operator

#: Largest number of entries of the matrix of an operator; half a gibibyte in double precision.
_LIMIT = 1 << 26
#: Unit vectors that are mapped at a time.
_CHUNK = 256


def check_size(operator: Operator) -> None:
    """Raise `CompositionError` for operators that are too large for a matrix, or complex."""
    entries = operator.domain.size * operator.range.size
    if operator.domain.is_complex or operator.range.is_complex:
        raise CompositionError(f"the analytic weight is made for real operators; {type(operator).__name__} is complex")
    if entries > _LIMIT:
        raise CompositionError(
            f"the analytic weight needs the operator's whole matrix; that of {type(operator).__name__}, "
            f"{operator.range.size} × {operator.domain.size}, has more than {_LIMIT} entries. Work on blocks or "
            f"patches, or take a network that needs no matrix, such as ista-net-plus"
        )


def dense_matrix(operator: LinearOperator, like: Tensor) -> Tensor:
    """The matrix `(m, n)` of an operator in the precision and on the device of `like`, by unit vectors."""
    rows, columns = operator.range.size, operator.domain.size
    wide = rows < columns  # then its rows, the images of the adjoint, are fewer
    count, space, apply = (rows, operator.range, operator.adjoint) if wide else (columns, operator.domain, operator)
    parts = []
    for first in range(0, count, _CHUNK):
        unit = torch.eye(min(_CHUNK, count - first), count, dtype=like.dtype, device=like.device).roll(first, 1)
        parts.append(apply(unit.view(-1, *space.shape)).flatten(1))
    found = torch.cat(parts)
    return found if wide else found.T


def analytic_weight(matrix: Tensor) -> Tensor:
    """`W` of least coherence `‖WᵀA‖_F` with `w_iᵀ a_i = 1`: `w_i = G a_i / (a_iᵀ G a_i)`, `G = (A Aᵀ)⁻¹`.

    `matrix` is `A`, `(m, n)`, and so is `W`; the pseudo-inverse is taken where `A Aᵀ` has none. `G A` is the transpose
    of the pseudo-inverse of `A` and computed as such, in double precision: `A Aᵀ` would square the condition number,
    and be huge for an operator that measures much more than it is given. Raises `InputError` where a column of `A`
    is zero.

    Source: Liu, Chen, Wang and Yin 2019, ALISTA, equation 8 (the problem); the closed form by Lagrange multipliers.
    """
    a = matrix.double()
    solved = torch.linalg.pinv(a).T
    scale = (a * solved).sum(0)
    if bool((scale <= math.sqrt(torch.finfo(a.dtype).tiny)).any()):
        index = int(scale.argmin())
        raise InputError(f"column {index} of the operator's matrix is zero: nothing measures that entry of a code")
    return (solved / scale).to(matrix.dtype)
