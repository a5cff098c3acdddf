"""The forward–backward map, which gradient descent and the proximal gradient method share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed import Iteration, Problem, Regularizer, State, bookkeeping
from wellposed.memo import OperatorMemo
from wellposed.state import derived

from .certificate import bound_before, bounds_after, contraction, unknown
from .composite import Composite, refuse_step
from .constants import given_or, keep_step, reciprocal, samples, start_image


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
        self.memo = OperatorMemo()

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
            smoothness = parts.smoothness(problem, x)
            convexity = parts.strong_convexity(problem, x, self.memo)
            step = self._first_step(smoothness, convexity[0], x)
            factors = contraction(problem, step, smoothness, convexity[0], parts.prox_lipschitz(problem, x, step))
        return DescentState(x, step, factors, unknown(factors))

    def step(self, problem: Problem, state: DescentState) -> DescentState:
        step = given_or(self.step_size, state.step_size)
        x = self.composite(problem.regularizer).forward_backward(problem, state.x, step)
        return replace(state, x=x, bound=bounds_after(state.x, x, state.contraction))

    def error_bound(self, problem: Problem, state: DescentState) -> Tensor | None:
        """`‖x − x*‖ ≤ ρ/(1−ρ)·‖x − x_previous‖` where the map contracts; at no cost after a step."""
        if not state.contraction:
            return None
        if not bool(torch.isnan(state.bound[0]).any()):
            return state.bound[0]
        return bound_before(state.x, self.step(problem, state).x, state.contraction)

    def _first_step(self, smoothness: Tensor | None, convexity: Tensor, x: Tensor) -> Tensor:
        """The given step size, else `1/L`, or `2/(L+μ)` where `f` is strongly convex."""
        if self.step_size is not None:
            return samples(self.step_size, x).detach()
        assert smoothness is not None, "refused by check"
        return torch.where(convexity > 0, 2.0 * reciprocal(smoothness + convexity), reciprocal(smoothness))
