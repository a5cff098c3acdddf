"""The measurement as it is: what deblurred and denoised images are compared with."""

from __future__ import annotations

from torch import Tensor

from wellposed import CompositionError, Operator, Problem
from wellposed.solver import DirectSolver


class Measurement(DirectSolver):
    """`x = y`: the measured image itself, `(B, *range)`, where images and measurements have the same shape.

    A row of a table that says how much a method gains. Raises `CompositionError` for operators whose
    measurements are no images of the same shape.
    """

    source = "none: the data"

    def check(self, problem: Problem) -> None:
        _check_same_space(problem.operator)

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        operator.check_range(y)
        _check_same_space(operator)
        return y.clone()


def _check_same_space(operator: Operator) -> None:
    domain, range_ = operator.domain, operator.range
    if domain.shape != range_.shape or domain.is_complex != range_.is_complex:
        raise CompositionError(
            f"the measurements {range_.shape} of {type(operator).__name__} are no images like its {domain.shape}; "
            f"compare with pseudo-inverse, filtered-backprojection or zero-filled"
        )
