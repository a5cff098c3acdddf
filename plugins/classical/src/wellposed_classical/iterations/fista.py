"""FISTA: the accelerated proximal gradient method."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed import Iteration, Problem, State, bookkeeping
from wellposed.memo import OperatorMemo
from wellposed.space import inner, per_sample
from wellposed.state import derived

from .certificate import bound_before, bounds_after, contraction, unknown
from .composite import proximal_composite, refuse_step
from .constants import given_or, keep_step, reciprocal, samples, start_image


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
    map alone. With `q = sμ/(1+sμ_g)`, `t⁺ = (1 − q t² + √((1 − q t²)² + 4t²))/2` and
    `β = (t−1)/t⁺ · (1 + sμ_g − t⁺sμ)/(1 − sμ_f)`: `O(1/k²)` in the objective, `O((1−√q)^k)` where
    `μ = μ_f + μ_g > 0`, with a certified bound on the distance to the solution. `step_size`: at most
    `1/L`, which is the default. `restart` drops the momentum of a sample where it points uphill.

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
        self.memo = OperatorMemo()

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
            smoothness = parts.smoothness(problem, x)
            convexity = parts.strong_convexity(problem, x, self.memo)
            if self.step_size is not None:
                step = samples(self.step_size, x).detach()
            else:
                assert smoothness is not None, "refused by check"
                step = reciprocal(smoothness)
            factors = contraction(problem, step, smoothness, convexity[0], parts.prox_lipschitz(problem, x, step))
        return FISTAState(x, x, torch.ones_like(step), step, *convexity, factors, unknown(factors))

    def step(self, problem: Problem, state: FISTAState) -> FISTAState:
        step = given_or(self.step_size, state.step_size)
        x = proximal_composite(self, problem.regularizer).forward_backward(problem, state.z, step)
        t, momentum = self._momentum(state, x)
        z = x + per_sample(momentum, x) * (x - state.x)
        return replace(state, x=x, z=z, t=t, bound=bounds_after(state.z, x, state.contraction))

    def error_bound(self, problem: Problem, state: FISTAState) -> Tensor | None:
        """`‖x − x*‖ ≤ ρ/(1−ρ)·‖x − z‖`, `ρ` the contraction of the map that took `z` to `x`."""
        if not state.contraction:
            return None
        if not bool(torch.isnan(state.bound[0]).any()):
            return state.bound[0]
        parts = proximal_composite(self, problem.regularizer)
        step = given_or(self.step_size, state.step_size)
        return bound_before(state.x, parts.forward_backward(problem, state.x, step), state.contraction)

    def _momentum(self, state: FISTAState, x: Tensor) -> tuple[Tensor, Tensor]:
        """`t⁺` and `β` of each sample; they steer, so no gradient flows through them."""
        with torch.no_grad():
            forward, backward = (
                state.step_size * state.smooth_convexity,
                state.step_size * state.proximal_convexity,
            )
            q = (forward + backward) / (1 + backward)
            rest = 1 - q * state.t**2
            t = (rest + torch.sqrt(rest**2 + 4 * state.t**2)) / 2
            tiny = torch.finfo(t.dtype).eps
            damping = (1 + backward - t * (forward + backward)) / (1 - forward).clamp_min(tiny)
            momentum = (state.t - 1) / t * damping.clamp(0.0, 1.0)
            if self.restart:
                uphill = inner(state.z - x, x - state.x) > 0
                t, momentum = torch.where(uphill, 1.0, t), torch.where(uphill, 0.0, momentum)
        return t, momentum
