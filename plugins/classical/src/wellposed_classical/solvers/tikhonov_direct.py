"""Tikhonov regularization by one linear solve."""

from __future__ import annotations

from torch import Tensor
from wellposed import LinearOperator

from ..iterations.constants import keep_step
from .direct import LinearSolver


class TikhonovDirect(LinearSolver):
    """`x = (A*A + αI)⁻¹ A*y`, the minimiser of `½‖Ax − y‖² + α/2 ‖x‖²`.

    In closed form where the operator has one (Fourier, masks, blocks), else by conjugate gradients to
    rounding. `alpha` α > 0 has the units of `‖A‖²`; it may be a learned parameter. Measurements
    `(B, *range.shape)` to images `(B, *domain.shape)`; differentiable in both and in α.

    Raises `CompositionError` for nonlinear operators. Source: Tikhonov 1963.
    """

    source = "Tikhonov 1963; Engl, Hanke and Neubauer 1996, eq. (5.1)"

    def __init__(self, alpha: float | Tensor = 1e-2) -> None:
        super().__init__()
        keep_step(self, "alpha", alpha)

    alpha: float | Tensor

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"alpha": 0.5})

    def reconstruct(self, y: Tensor, operator: LinearOperator) -> Tensor:
        return operator.solve_normal(operator.adjoint(y), self.alpha)
