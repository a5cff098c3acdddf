"""Kaczmarz' method by row blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from wellposed import InputError, Iteration, LinearOperator, Problem, State
from wellposed.memo import OperatorMemo
from wellposed.operator import RowBlock

from .constants import start_image
from .constraint import constraint_of
from .row_blocks import row_blocks


@dataclass(frozen=True)
class ImageState(State):
    """The image alone."""

    x: Tensor


class Kaczmarz(Iteration[ImageState]):
    """`x ← P(x + ω A_b*(y_b − A_b x)/‖A_b‖²)` for each block of rows `b` in turn; one step is one sweep.

    Solves `A x = y` for images `(B, *domain.shape)`; the fidelity plays no part. With as many `blocks` as
    rows it is Kaczmarz' method, with one it is Landweber's. Regularizes by being stopped early; `P`
    projects onto bounds on the image, if given as the regularizer. `0 < relaxation ω < 2`.

    Raises `InputError` where the operator has fewer rows along its block axis than `blocks`.
    Sources: Kaczmarz 1937; Elfving 1980 (blocks); Kowar and Scherzer 2002 (blocks with Landweber steps).
    """

    source = "Kaczmarz 1937; Elfving 1980; Kowar and Scherzer 2002, eq. (4) (Landweber–Kaczmarz)"
    solves = "data"

    def __init__(self, blocks: int = 10, relaxation: float = 1.0) -> None:
        super().__init__()
        if blocks < 1:
            raise InputError(f"Kaczmarz needs at least one block; got {blocks}")
        if not 0 < relaxation < 2:
            raise InputError(f"Kaczmarz' relaxation lies between 0 and 2; got {relaxation}")
        self.blocks, self.relaxation = int(blocks), float(relaxation)
        self.memo = OperatorMemo()

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"blocks": 4}, {"blocks": 2, "relaxation": 0.5})

    def check(self, problem: Problem) -> None:
        super().check(problem)
        constraint_of(self, problem.regularizer)
        if isinstance(problem.operator, LinearOperator):
            problem.operator.row_blocks(self.blocks)

    def init(self, problem: Problem, x: Tensor | None = None) -> ImageState:
        return ImageState(start_image(problem, x))

    def step(self, problem: Problem, state: ImageState) -> ImageState:
        x = state.x
        bounds = constraint_of(self, problem.regularizer)
        for block in self._blocks(problem, x):
            size = block.norm() ** 2
            if size == 0.0:
                continue
            residual = block.restrict(problem.measurement) - block(x)
            x = x.add(block.adjoint(residual), alpha=self.relaxation / size)
            x = x if bounds is None else bounds.prox(x, 1.0)
        return replace(state, x=x)

    def _blocks(self, problem: Problem, like: Tensor) -> list[RowBlock]:
        assert isinstance(problem.operator, LinearOperator), "refused by check"
        return row_blocks(problem.operator, self.blocks, like, self.memo)
