"""FISTA: the accelerated proximal gradient method."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed import Iteration, Problem, State, bookkeeping
from wellposed.space import per_sample
from wellposed.state import derived

from .certificate import certified_distance, certified_step, contraction, unknown
from .composite import proximal_composite, refuse_step
from .constants import given_or, keep_step, reciprocal, samples, start_image
from .momentum import accelerated, restarted
from .stalling import gradient_step_stalled


@dataclass(frozen=True)
class FISTAState(State):
    """The image, the extrapolated point, the momentum sequence `t_k` and the constants that steer it."""

    x: Tensor
    z: Tensor
    t: Tensor = bookkeeping()
    step_size: Tensor = bookkeeping()
    smooth_convexity: Tensor = bookkeeping()
    proximal_convexity: Tensor = bookkeeping()
    contraction: tuple[Tensor, ...] = bookkeeping()
    bound: tuple[Tensor, ...] = derived()


class FISTA(Iteration[FISTAState]):
    """`x⁺ = prox_{s g}(z − s∇f(z))`, `z⁺ = x⁺ + β_k (x⁺ − x)`, images `(B, *domain.shape)`.

    `f` is the data term and, of a sum of regularizers, those with a gradient; `g` the one with a proximal
    map alone. `β_k` is Chambolle and Pock's (`momentum.accelerated`): `O(1/k²)` in the objective, `O((1−√q)^k)`
    where `μ = μ_f + μ_g > 0`, `q = sμ/(1+sμ_g)`, with a certified bound on the distance to the solution.
    `step_size`: at most `1/L`, which is the default. `restart` drops the momentum of a sample that points uphill.

    Raises `CompositionError` where a regularizer has neither proximal map nor gradient, or no step size
    is known. Sources: Beck and Teboulle 2009; Chambolle and Pock 2016, algorithm 5; O'Donoghue and
    Candès 2015, eq. (12).
    """

    source = "Beck and Teboulle 2009; Chambolle and Pock 2016, algorithm 5; O'Donoghue and Candès 2015, eq. (12)"
    requires = frozenset({"prox"})
    stationary = False
    linear_only = False

    def __init__(self, step_size: float | Tensor | None = None, restart: bool = True) -> None:
        super().__init__()
        keep_step(self, "step_size", step_size)
        self.restart = restart

    step_size: float | Tensor | None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"restart": False}, {"step_size": 0.1})

    def check(self, problem: Problem) -> None:
        parts = proximal_composite(self, problem.regularizer)
        if self.step_size is None and parts.smoothness(problem, problem.zeros()) is None:
            raise refuse_step(self, problem, parts.smooth)

    def init(self, problem: Problem, x: Tensor | None = None) -> FISTAState:
        x = start_image(problem, x)
        with torch.no_grad():
            parts = proximal_composite(self, problem.regularizer)
            if self.step_size is not None:
                step = samples(self.step_size, x).detach()
            else:
                smoothness = parts.smoothness(problem, x)
                assert smoothness is not None, "refused by check"
                step = reciprocal(smoothness)
            factors = contraction(parts, problem, x, step)
            convexity = parts.strong_convexity(problem, x)
        return FISTAState(x, x, torch.ones_like(step), step, *convexity, factors, unknown(factors))

    def step(self, problem: Problem, state: FISTAState) -> FISTAState:
        s, parts = given_or(self.step_size, state.step_size), proximal_composite(self, problem.regularizer)
        x, bound = certified_step(parts, problem, state.z, s, state.contraction)
        t, momentum = self._momentum(state, x)
        return replace(state, x=x, z=x + per_sample(momentum, x) * (x - state.x), t=t, bound=bound)

    def certifies(self, problem: Problem) -> bool:
        return bool(self.init(problem).contraction)

    def error_bound(self, problem: Problem, state: FISTAState) -> Tensor | None:
        """`‖x − x*‖ ≤ (ρ‖x − z‖ + e)/(1−ρ)`, `ρ` the contraction of the map that took `z` to `x`."""
        if not state.contraction:
            return None
        if not bool(torch.isnan(state.bound[0]).any()):
            return state.bound[0]
        s, parts = given_or(self.step_size, state.step_size), proximal_composite(self, problem.regularizer)
        return certified_distance(parts, problem, state.x, s, state.contraction)

    def stalled(self, problem: Problem, state: FISTAState) -> Tensor | None:
        parts = proximal_composite(self, problem.regularizer)
        return gradient_step_stalled(parts, problem, state.x, state.step_size)

    @torch.no_grad()
    def _momentum(self, state: FISTAState, x: Tensor) -> tuple[Tensor, Tensor]:
        """`t⁺` and `β` of each sample; they steer, so no gradient flows through them."""
        t, momentum = accelerated(state.t, state.step_size, state.smooth_convexity, state.proximal_convexity)
        return restarted(state.z, x, state.x, t, momentum) if self.restart else (t, momentum)
