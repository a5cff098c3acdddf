"""The forward–backward map, which gradient descent and the proximal gradient method share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed import Iteration, Problem, Regularizer, State, bookkeeping
from wellposed.state import derived

from .certificate import certified_distance, certified_step, contraction, unknown
from .composite import Composite, refuse_step
from .constants import given_or, keep_step, reciprocal, samples, start_image
from .stalling import gradient_step_stalled


@dataclass(frozen=True)
class DescentState(State):
    """The image and its step size; where the map contracts, its factor, the size of the data, and a certified
    distance to the solution."""

    x: Tensor
    step_size: Tensor = bookkeeping()
    contraction: tuple[Tensor, ...] = bookkeeping()
    bound: tuple[Tensor, ...] = derived()


class ForwardBackward(Iteration[DescentState]):
    """`x ← prox_{s g}(x − s∇f(x))`; a subclass says what is `f` and what `g`."""

    stationary = True
    linear_only = False

    def __init__(self, step_size: float | Tensor | None = None) -> None:
        super().__init__()
        keep_step(self, "step_size", step_size)

    step_size: float | Tensor | None

    def composite(self, regularizer: Regularizer) -> Composite:
        """The two parts of the objective; raises `CompositionError` where it has no such form."""
        raise NotImplementedError

    def check(self, problem: Problem) -> None:
        parts = self.composite(problem.regularizer)
        if self.step_size is None and parts.smoothness(problem, problem.zeros()) is None:
            raise refuse_step(self, problem, parts.smooth)

    def init(self, problem: Problem, x: Tensor | None = None) -> DescentState:
        x = start_image(problem, x)
        with torch.no_grad():
            parts = self.composite(problem.regularizer)
            step = self._first_step(problem, parts, x)
            factors = contraction(parts, problem, x, step)
        return DescentState(x, step, factors, unknown(factors))

    def step(self, problem: Problem, state: DescentState) -> DescentState:
        s, parts = given_or(self.step_size, state.step_size), self.composite(problem.regularizer)
        x, bound = certified_step(parts, problem, state.x, s, state.contraction)
        return replace(state, x=x, bound=bound)

    def certifies(self, problem: Problem) -> bool:
        return bool(self.init(problem).contraction)

    def error_bound(self, problem: Problem, state: DescentState) -> Tensor | None:
        """`‖x − x*‖ ≤ (ρ‖x − x_previous‖ + e)/(1−ρ)` where the map contracts; at no cost after a step."""
        if not state.contraction:
            return None
        if not bool(torch.isnan(state.bound[0]).any()):
            return state.bound[0]
        s, parts = given_or(self.step_size, state.step_size), self.composite(problem.regularizer)
        return certified_distance(parts, problem, state.x, s, state.contraction)

    def stalled(self, problem: Problem, state: DescentState) -> Tensor | None:
        return gradient_step_stalled(self.composite(problem.regularizer), problem, state.x, state.step_size)

    def _first_step(self, problem: Problem, parts: Composite, x: Tensor) -> Tensor:
        """The given step size, else `1/L`, or `2/(L+μ)` where `f` is strongly convex."""
        if self.step_size is not None:
            return samples(self.step_size, x).detach()
        smoothness, convexity = parts.smoothness(problem, x), parts.strong_convexity(problem, x)[0]
        assert smoothness is not None, "refused by check"
        return torch.where(convexity > 0, 2.0 * reciprocal(smoothness + convexity), reciprocal(smoothness))
