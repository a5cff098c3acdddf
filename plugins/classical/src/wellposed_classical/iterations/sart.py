"""The simultaneous algebraic reconstruction technique, with ordered subsets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed import CompositionError, InputError, Iteration, LinearOperator, Problem
from wellposed.memo import OperatorMemo, placement
from wellposed.operator import RowBlock

from .constants import random_image, start_image
from .constraint import constraint_of
from .kaczmarz import ImageState
from .row_blocks import row_blocks


@dataclass(frozen=True)
class _Subset:
    """A block of rows and the reciprocals of its row sums and column sums."""

    block: RowBlock
    rows: Tensor
    columns: Tensor


class SART(Iteration[ImageState]):
    """`x ← P(x + ω C_b A_b*R_b(y_b − A_b x))` for each subset `b` of rows in turn; one step is one sweep.

    `R_b = 1/(A_b 1)` and `C_b = 1/(A_b* 1)` are the reciprocal row and column sums, 0 where a sum is 0.
    Solves `A x = y` for real images `(B, *domain.shape)` and operators with nonnegative entries
    (tomography); the fidelity plays no part. One of `subsets` is SIRT. Regularizes by being stopped
    early; `P` projects onto bounds on the image, if given as the regularizer. `0 < relaxation ω < 2`.

    Raises `CompositionError` for operators with negative or complex entries.
    Sources: Andersen and Kak 1984, eq. (30); Jiang and Wang 2003 (convergence, subsets).
    """

    source = "Andersen and Kak 1984; Jiang and Wang 2003, Convergence of the SART, eq. (4)"
    solves = "data"

    def __init__(self, subsets: int = 1, relaxation: float = 1.0) -> None:
        super().__init__()
        if subsets < 1:
            raise InputError(f"SART needs at least one subset; got {subsets}")
        if not 0 < relaxation < 2:
            raise InputError(f"SART's relaxation lies between 0 and 2; got {relaxation}")
        self.subsets, self.relaxation = int(subsets), float(relaxation)
        self.memo = OperatorMemo()

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"subsets": 2, "relaxation": 1.5})

    def check(self, problem: Problem) -> None:
        super().check(problem)
        constraint_of(self, problem.regularizer)
        operator = problem.operator
        if operator.domain.is_complex or operator.range.is_complex:
            raise CompositionError(f"SART needs a real operator with nonnegative entries; {_name(operator)} is complex")
        assert isinstance(operator, LinearOperator), "refused above"
        operator.row_blocks(self.subsets)
        if not _is_nonnegative(operator, problem.zeros()):
            raise CompositionError(
                f"SART divides by row and column sums and needs an operator with nonnegative entries, as those of "
                f"tomography have; {_name(operator)} has negative ones"
            )

    def init(self, problem: Problem, x: Tensor | None = None) -> ImageState:
        return ImageState(start_image(problem, x))

    def step(self, problem: Problem, state: ImageState) -> ImageState:
        x = state.x
        bounds = constraint_of(self, problem.regularizer)
        for subset in self._subsets(problem, x):
            block = subset.block
            residual = (block.restrict(problem.measurement) - block(x)) * subset.rows
            x = torch.addcmul(x, block.adjoint(residual), subset.columns, value=self.relaxation)
            x = x if bounds is None else bounds.prox(x, 1.0)
        return replace(state, x=x)

    def _subsets(self, problem: Problem, like: Tensor) -> list[_Subset]:
        operator = problem.operator
        assert isinstance(operator, LinearOperator), "refused by check"

        def make() -> list[_Subset]:
            blocks = row_blocks(operator, self.subsets, like, self.memo)
            return [_Subset(b, *_reciprocal_sums(b, like)) for b in blocks]

        return self.memo.get(operator, ("subsets", self.subsets, placement(like)), make)


def _reciprocal_sums(block: RowBlock, like: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        rows = block(torch.ones_like(like[:1]))
        columns = block.adjoint(torch.ones_like(rows))
        return _safe_reciprocal(rows), _safe_reciprocal(columns)


def _safe_reciprocal(sums: Tensor) -> Tensor:
    """0 where a ray misses the image or a pixel is not seen, up to rounding."""
    floor = torch.finfo(sums.dtype).eps * sums.amax().clamp_min(0)
    return torch.where(sums > floor, 1 / sums, 0.0)


def _is_nonnegative(operator: LinearOperator, like: Tensor) -> bool:
    """Whether `|A u| ≤ A|u|` for a random image, as entries without negative ones have it."""
    with torch.no_grad():
        u = random_image(like[:1])
        slack = 100 * torch.finfo(u.dtype).eps
        above = operator(u.abs())
        return bool((operator(u).abs() <= above + slack * above.abs().amax()).all())


def _name(operator: object) -> str:
    return type(operator).__name__
