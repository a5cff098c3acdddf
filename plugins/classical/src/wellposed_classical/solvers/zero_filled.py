"""Zero filling of unobserved k-space."""

from __future__ import annotations

from torch import Tensor
from wellposed import LinearOperator, Problem

from .direct import LinearSolver


class ZeroFilled(LinearSolver):
    """The inverse Fourier transform of k-space with zeros where nothing was measured, coils combined.

    Measurements `(B, *range.shape)` to images `(B, *domain.shape)`, by the operator's `zero_filled`.
    Raises `CompositionError` for operators without one. Source: Bernstein, King and Zhou 2004, section 13.1.
    """

    source = "Bernstein, King and Zhou 2004, Handbook of MRI Pulse Sequences, section 13.1"

    def check(self, problem: Problem) -> None:
        self.method_of(self.linear(problem.operator), "zero_filled")

    def reconstruct(self, y: Tensor, operator: LinearOperator) -> Tensor:
        return self.method_of(operator, "zero_filled")(y)
