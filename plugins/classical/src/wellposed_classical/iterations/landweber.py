"""Landweber's iteration, linear and nonlinear, with bounds on the image if wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from wellposed import InputError, Iteration, Problem, State, bookkeeping

from .composite import descend, refuse_step
from .constants import data_smoothness, given_or, keep_step, reciprocal, samples, start_image
from .constraint import constraint_of


@dataclass(frozen=True)
class LandweberState(State):
    """The image and its step size."""

    x: Tensor
    step_size: Tensor = bookkeeping()


class Landweber(Iteration[LandweberState]):
    """`x ← P(x − s A'(x)*∇D(A(x), y))`, for least squares `x ← P(x + s A*(y − Ax))`; `P` projects onto bounds.

    Images `(B, *domain.shape)`. Regularizes by being stopped early (`discrepancy`); the only regularizers
    it takes are bounds on the image. By default `s = relaxation/L` with `L` the Lipschitz constant of the
    data term's gradient, `‖A‖²` for least squares, and `0 < relaxation < 2`; or give `step_size`.

    Raises `CompositionError` for other regularizers and where no step size is known.
    Sources: Landweber 1951; Hanke, Neubauer and Scherzer 1995 (nonlinear); Eicke 1992 (projected).
    """

    source = "Landweber 1951; Hanke, Neubauer and Scherzer 1995, eq. (1.2) (nonlinear); Eicke 1992 (projected)"
    linear_only = False

    def __init__(self, step_size: float | Tensor | None = None, relaxation: float = 1.0) -> None:
        super().__init__()
        if not 0 < relaxation < 2:
            raise InputError(f"Landweber's relaxation lies between 0 and 2; got {relaxation}")
        if step_size is not None and relaxation != 1.0:
            raise InputError("Landweber takes a step_size or a relaxation of the default step, not both")
        keep_step(self, "step_size", step_size)
        self.relaxation = float(relaxation)

    step_size: float | Tensor | None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"relaxation": 1.8}, {"step_size": 0.1})

    def check(self, problem: Problem) -> None:
        constraint_of(self, problem.regularizer)
        if self.step_size is None and data_smoothness(problem, problem.zeros()) is None:
            raise refuse_step(self, problem, ())

    def init(self, problem: Problem, x: Tensor | None = None) -> LandweberState:
        x = start_image(problem, x)
        if self.step_size is not None:
            return LandweberState(x, samples(self.step_size, x).detach())
        smoothness = data_smoothness(problem, x)
        assert smoothness is not None, "refused by check"
        return LandweberState(x, self.relaxation * reciprocal(smoothness.detach()))

    def step(self, problem: Problem, state: LandweberState) -> LandweberState:
        step = given_or(self.step_size, state.step_size)
        x = descend(state.x, problem.data_gradient(state.x), step)
        bounds = constraint_of(self, problem.regularizer)
        return replace(state, x=x if bounds is None else bounds.prox(x, 1.0))
