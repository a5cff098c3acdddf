"""The linear systems of ADMM, solved in closed form where a transform diagonalises them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import LinearOperator
from wellposed.linear_algebra import conjugate_gradient
from wellposed.space import norm, per_sample

from .splitting import TermBlock

#: Conjugate gradients from the last image stop at this fraction of the residual they start with.
_REDUCTION = 0.05
_LIMIT = 30
#: A residual of so many roundings of the right-hand side is none.
_ROUNDINGS = 4.0


@dataclass(frozen=True)
class NormalEquations:
    """`(a A*A + Σ c_j K_j*K_j) x = rhs` with `a`, `c_j > 0`, `(B,)` each.

    `isometry` is `c` where `A*A = c·I` is known, `(B,)`, or empty.
    """

    operator: LinearOperator
    data_weight: Tensor
    terms: tuple[tuple[TermBlock, Tensor], ...]
    isometry: tuple[Tensor, ...]

    def solve(self, rhs: Tensor, start: Tensor) -> Tensor:
        """Exact where the operator or the analysis map has a closed form; else a few steps from `start`."""
        plain = [c for block, c in self.terms if block.analysis is None]
        shift = torch.stack(plain).sum(0) if plain else torch.zeros_like(self.data_weight)
        analysed = [(block.analysis, c) for block, c in self.terms if block.analysis is not None]
        if not analysed and plain and has_closed_form(self.operator):
            return self.operator.solve_normal(rhs / per_sample(self.data_weight, rhs), shift / self.data_weight)
        if len(analysed) == 1 and self.isometry:
            analysis, weight = analysed[0]
            total = (self.data_weight * self.isometry[0] + shift) / weight
            found = analysis.solve_normal(rhs / per_sample(weight, rhs), total)  # type: ignore[arg-type]
            if found is not None:
                return found
        residual = _beyond_rounding(rhs - self.apply(start), rhs)
        return start + conjugate_gradient(self.apply, residual, tolerance=_REDUCTION, limit=_LIMIT)

    def apply(self, x: Tensor) -> Tensor:
        total = per_sample(self.data_weight, x) * self.operator.gram(x)
        for block, c in self.terms:
            total = total + per_sample(c, x) * block.adjoint(block.apply(x))
        return total


def _beyond_rounding(residual: Tensor, rhs: Tensor) -> Tensor:
    """0 for samples whose residual is rounding: reducing that walks along common kernels, step after step.

    Not where derivatives are taken: those of a solution that is reached already flow through the residual.
    """
    if residual.requires_grad:
        return residual
    known = norm(residual) > _ROUNDINGS * torch.finfo(rhs.dtype).eps * norm(rhs)
    return torch.where(per_sample(known, residual), residual, 0.0)


def has_closed_form(operator: LinearOperator) -> bool:
    """Whether the operator solves its shifted normal equations better than by conjugate gradients."""
    return type(operator)._solve_normal is not LinearOperator._solve_normal
