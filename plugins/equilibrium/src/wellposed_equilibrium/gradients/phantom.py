"""Phantom gradients: a few damped, taped steps at the fixed point."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from wellposed import Gradient, InputError, Iteration, Problem, State

S = TypeVar("S", bound=State)


class Phantom(Gradient):
    """`steps` taped steps of `x ← (1 − τ) x + τ T(x)` from the fixed point, `damping` τ.

    Between the Jacobian-free gradient (one step, τ = 1) and the implicit one (many steps); memory grows
    with `steps`.

    Source: Geng et al. 2021, On training implicit models, eq. (10), the unrolled form.
    """

    source = "Geng et al. 2021, On training implicit models (unrolled phantom gradient)"
    requires_stationary = True

    def __init__(self, steps: int = 5, damping: float = 0.5) -> None:
        super().__init__()
        if steps < 1 or not 0 < damping <= 1:
            raise InputError(f"phantom gradients need steps ≥ 1 and damping in (0, 1]; got {steps} and {damping}")
        self.steps, self.damping = steps, damping

    def resolvent(self, eigenvalue: Tensor) -> Tensor:
        """`τ Σ (1 − τ + τλ)^i` over `steps` terms."""
        damped = 1 - self.damping + self.damping * eigenvalue
        return self.damping * torch.stack([damped**i for i in range(self.steps)]).sum(0)

    def attach(self, problem: Problem, iteration: Iteration, state: S) -> S:
        state = state.detach()
        for _ in range(self.steps):
            value = iteration.step(problem, state)
            state = value.unflatten((1 - self.damping) * state.flatten() + self.damping * value.flatten())
        return state
