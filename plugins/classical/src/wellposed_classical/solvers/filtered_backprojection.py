"""Filtered backprojection of tomographic data."""

from __future__ import annotations

from torch import Tensor
from wellposed import InputError, LinearOperator, Problem

from .direct import LinearSolver


class FilteredBackprojection(LinearSolver):
    """`x = B(F y)`: the ramp filter with a window along the detector, then backprojection.

    `filter` names the window as the operator knows it ("ram-lak", "shepp-logan", "cosine", "hamming",
    "hann"); `cutoff` in (0, 1] is the highest frequency kept, as a fraction of the detector's Nyquist
    frequency. Measurements `(B, *range.shape)` to images `(B, *domain.shape)`.

    Raises `CompositionError` for operators that have no filtered backprojection.
    Source: Kak and Slaney 1988, chapter 3.
    """

    source = "Kak and Slaney 1988, Principles of Computerized Tomographic Imaging, chapter 3"

    def __init__(self, filter: str = "ram-lak", cutoff: float = 1.0) -> None:
        super().__init__()
        if not 0 < cutoff <= 1:
            raise InputError(f"the cutoff of the filter lies in (0, 1], a fraction of Nyquist; got {cutoff}")
        self.filter, self.cutoff = filter, float(cutoff)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"filter": "hann", "cutoff": 0.8})

    def check(self, problem: Problem) -> None:
        self.method_of(self.linear(problem.operator), "filtered_backprojection")

    def reconstruct(self, y: Tensor, operator: LinearOperator) -> Tensor:
        return self.method_of(operator, "filtered_backprojection")(y, self.filter, self.cutoff)
