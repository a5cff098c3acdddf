"""Filtered backprojection."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from wellposed import InputError, Operator, Problem
from wellposed.solver import DirectSolver

from .linear import missing_method


class FilteredBackprojection(DirectSolver):
    """Direct inversion of the Radon transform: ramp filter with a window, then backprojection.

    `x = A^# (y ⊛ ramp·window)`, as the operator's own `filtered_backprojection` does it (weights of its
    geometry included). Sinograms `(B, channels, views, bins)` to images `(B, channels, *shape)`.

    Args:
        filter: the window on the ramp; `ram-lak` is none, `hann` the smoothest.
        cutoff: where the window ends, as a fraction of the Nyquist frequency.

    Raises `CompositionError` for operators without filtered backprojection. Source: Kak and Slaney 1988,
    chapter 3.
    """

    source = "Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988, chapter 3"

    def __init__(
        self,
        filter: Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"] = "ram-lak",
        cutoff: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < cutoff <= 1:
            raise InputError(f"the cutoff is a fraction of the Nyquist frequency in (0, 1]; got {cutoff}")
        self.filter, self.cutoff = filter, cutoff

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"filter": "hann", "cutoff": 0.8})

    def check(self, problem: Problem) -> None:
        if not callable(getattr(problem.operator, "filtered_backprojection", None)):
            raise missing_method(self, problem.operator, "filtered_backprojection", "parallel-beam, fan-beam")

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        invert = getattr(operator, "filtered_backprojection", None)
        if invert is None:
            raise missing_method(self, operator, "filtered_backprojection", "parallel-beam, fan-beam")
        return invert(y, self.filter, self.cutoff)
