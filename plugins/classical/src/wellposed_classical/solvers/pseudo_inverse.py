"""The operator's own inversion."""

from __future__ import annotations

from torch import Tensor

from wellposed import Operator, Problem
from wellposed.solver import DirectSolver

from .linear import linear


class PseudoInverse(DirectSolver):
    """`x = A⁺ y`: the least-squares solution of smallest norm, or the field's stand-in for it.

    Closed form where the operator has one, filtered backprojection for tomography, conjugate gradients
    else; see the operator's `pinv`. Measurements `(B, *range.shape)` to images `(B, *domain.shape)`.

    Raises `CompositionError` for nonlinear operators. Source: Engl, Hanke and Neubauer 1996, section 2.1.
    """

    source = "Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, section 2.1"

    def check(self, problem: Problem) -> None:
        linear(self, problem.operator)

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        return linear(self, operator).pinv(y)
