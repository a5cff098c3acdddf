"""Tikhonov regularization by solving its normal equations."""

from __future__ import annotations

from torch import Tensor

from wellposed import InputError, Operator, Problem
from wellposed.solver import DirectSolver

from .linear import linear


class TikhonovDirect(DirectSolver):
    """`x = (A*A + αI)⁻¹ A*y`, the minimiser of `½‖Ax − y‖² + α/2 ‖x‖²`.

    In closed form where the operator diagonalises (`fourier`, circular `convolution`, `inpainting`), by
    conjugate gradients else; see `LinearOperator.solve_normal`. Differentiable in the measurement.

    Raises `InputError` for `alpha ≤ 0` and `CompositionError` for nonlinear operators. Source: Tikhonov
    1963; Engl, Hanke and Neubauer 1996, eq. (5.1).
    """

    source = "Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, eq. (5.1)"

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not alpha > 0:
            raise InputError(f"Tikhonov's weight alpha must be positive; got {alpha}")
        self.alpha = alpha

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"alpha": 0.1},)

    def check(self, problem: Problem) -> None:
        linear(self, problem.operator)

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        operator = linear(self, operator)
        return operator.solve_normal(operator.adjoint(y), self.alpha)
