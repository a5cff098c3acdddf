"""The operator's own inversion."""

from __future__ import annotations

from torch import Tensor
from wellposed import LinearOperator

from .direct import LinearSolver


class PseudoInverse(LinearSolver):
    """`x = A⁺ y`: the operator's direct inversion (FBP, zero filling, …), else least squares by CG.

    Measurements `(B, *range.shape)` to images `(B, *domain.shape)`; noise in directions with small
    singular values is amplified by their reciprocals. Raises `CompositionError` for nonlinear operators.
    Source: Engl, Hanke and Neubauer 1996, section 2.1.
    """

    source = "Engl, Hanke and Neubauer 1996, Regularization of Inverse Problems, section 2.1"

    def reconstruct(self, y: Tensor, operator: LinearOperator) -> Tensor:
        return operator.pinv(y)
