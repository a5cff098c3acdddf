"""The operator's own inversion."""

from __future__ import annotations

from torch import Tensor

from .errors import CompositionError
from .operator import LinearOperator, Operator
from .problem import Problem
from .solver import DirectSolver


class PseudoInverse(DirectSolver):
    """`x = A⁺ y`: the least-squares solution of smallest norm, or the field's stand-in for it.

    Closed form where the operator has one, filtered backprojection for tomography, zero filling for MRI, conjugate
    gradients else; see the operator's `pinv`. Measurements `(B, *range.shape)` to images `(B, *domain.shape)`. What
    networks start from where no other solver is given.

    Raises `CompositionError` for nonlinear operators. Source: Engl, Hanke and Neubauer 1996, section 2.1.
    """

    source = "Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, section 2.1"

    def check(self, problem: Problem) -> None:
        _linear(problem.operator)

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        return _linear(operator).pinv(y)


def _linear(operator: Operator) -> LinearOperator:
    if not isinstance(operator, LinearOperator):
        raise CompositionError(
            f"{type(operator).__name__} is not linear and has no direct inversion; give another solver for the first "
            f"image, or take an iteration that needs the derivative alone: gradient-descent, proximal-gradient, fista"
        )
    return operator
