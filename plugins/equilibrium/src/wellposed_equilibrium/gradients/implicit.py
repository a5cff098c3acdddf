"""Implicit gradients: exact derivatives of fixed points by one linear solve in the backward pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from wellposed import Acceleration, Gradient, InputError, Iteration, Problem, State

from ..accelerations.anderson import Anderson

S = TypeVar("S", bound=State)
logger = logging.getLogger(__name__)


class Implicit(Gradient):
    """The derivative of `x* = T(x*; θ)` by the implicit function theorem.

    `v ↦ (∂T/∂θ)ᵀ w` with `w = (∂T/∂x)ᵀ w + v` at `x*`, the equation solved by the same kind of
    acceleration as the forward pass (default: Anderson), each sample to the relative residual
    `tolerance`, in at most `iterations` products. One step is taped, and both products come from that
    one tape, so memory does not grow with iterations of either pass. A backward solve that stops short
    is logged as a warning with its residual; `report` holds the last one's iterations and residuals.

    Raises `InputError` for settings out of range. Gradients of gradients are not available through this
    object. Source: Bai, Kolter and Koltun 2019, Deep equilibrium models, theorem 1.
    """

    source = "Bai, Kolter and Koltun 2019, Deep equilibrium models, theorem 1"
    requires_stationary = True

    def __init__(
        self, tolerance: float = 1e-6, iterations: int = 100, acceleration: Acceleration | None = None
    ) -> None:
        super().__init__()
        if not tolerance > 0 or iterations < 1:
            raise InputError(f"implicit gradients need tolerance > 0 and iterations ≥ 1; got {tolerance}, {iterations}")
        self.tolerance, self.iterations = tolerance, iterations
        self.acceleration = acceleration or Anderson()
        self.report: BackwardReport | None = None

    def attach(self, problem: Problem, iteration: Iteration, state: S) -> S:
        state = state.detach()
        if not torch.is_grad_enabled():
            return state
        x = state.flatten().requires_grad_()
        value = iteration.step(problem, state.unflatten(x))
        image = value.flatten()
        attached = image.view_as(image)  # its own node: the hook must not see the products that it asks for
        if attached.requires_grad:
            attached.register_hook(lambda v: self._solve(image, x, v))
        return value.unflatten(attached)

    def _solve(self, image: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """`w = Jᵀw + v` with `J = ∂image/∂x`."""
        (product,) = torch.autograd.grad(image, x, v, retain_graph=True, allow_unused=True)
        if product is None:  # the map does not depend on its argument
            return v

        def apply(state: Adjoint) -> Adjoint:
            (transposed,) = torch.autograd.grad(image, x, state.w, retain_graph=True)
            return Adjoint(transposed + v)

        w, self.report = solve_adjoint(apply, v, self.acceleration, self.tolerance, self.iterations)
        if not self.report.converged:
            logger.warning(
                "the backward solve stopped after %d products at relative residual %.1e (asked for %.1e): gradients "
                "are inexact; allow more iterations or make the map contract more",
                self.report.iterations,
                max(self.report.residual),
                self.tolerance,
            )
        return w


@dataclass(frozen=True)
class Adjoint(State):
    """The unknown of the backward equation, `(B, n)`."""

    w: Tensor


@dataclass(frozen=True)
class BackwardReport:
    """How a backward solve ended: products done, relative residual of each sample."""

    iterations: int
    residual: tuple[float, ...]
    converged: bool


def solve_adjoint(
    apply: Callable[[Adjoint], Adjoint], v: Tensor, acceleration: Acceleration, tolerance: float, limit: int
) -> tuple[Tensor, BackwardReport]:
    """Fixed point of `apply` from `v`, until `‖apply(w) − w‖ ≤ tolerance·‖v‖` for each sample."""
    state = Adjoint(v)
    memory = acceleration.init(state)
    scale = torch.linalg.vector_norm(v, dim=1).clamp_min(torch.finfo(v.dtype).tiny)
    residual = torch.full_like(scale, float("inf"))
    best, best_residual = v, residual
    products = 0
    while products < limit and not bool((best_residual <= tolerance).all()):
        values: list[Adjoint] = []

        def recorded(s: Adjoint, values: list[Adjoint] = values) -> Adjoint:
            values.append(apply(s))
            return values[-1]

        previous = state
        state, memory = acceleration.advance(recorded, previous, memory)
        residual = torch.linalg.vector_norm(values[0].w - previous.w, dim=1) / scale
        products += len(values)
        better = residual < best_residual
        best = torch.where(better[:, None], values[0].w, best)
        best_residual = torch.where(better, residual, best_residual)
    converged = bool((best_residual <= tolerance).all())
    return best, BackwardReport(products, tuple(best_residual.tolist()), converged)
