"""Zero filling of undersampled k-space."""

from __future__ import annotations

from torch import Tensor

from wellposed import Operator, Problem
from wellposed.solver import DirectSolver

from .linear import missing_method


class ZeroFilled(DirectSolver):
    """The inverse Fourier transform with zeros where nothing was measured.

    `x = F* M y`; with coils `x = Σ_c conj(S_c) F* M y_c / Σ_c |S_c|²`, as the operator's own
    `zero_filled` does it. k-space `(B, coils, H, W)` or `(B, channels, H, W)` to complex images.

    Raises `CompositionError` for operators without zero filling. Source: Roemer et al. 1990 (combination
    of coils).
    """

    source = "Roemer et al., The NMR phased array, MRM 16, 1990, eq. (28)"

    def check(self, problem: Problem) -> None:
        if not callable(getattr(problem.operator, "zero_filled", None)):
            raise missing_method(self, problem.operator, "zero_filled", "fourier, multicoil-fourier")

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        fill = getattr(operator, "zero_filled", None)
        if fill is None:
            raise missing_method(self, operator, "zero_filled", "fourier, multicoil-fourier")
        return fill(y)
