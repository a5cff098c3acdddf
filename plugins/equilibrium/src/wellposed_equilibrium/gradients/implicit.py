"""Implicit gradients: exact derivatives of fixed points by one linear solve in the backward pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from wellposed import Acceleration, Gradient, InputError, Iteration, Problem, State
from wellposed.errors import CapabilityMissing

from ..accelerations.anderson import Anderson

S = TypeVar("S", bound=State)
logger = logging.getLogger(__name__)


class Implicit(Gradient):
    """The derivative of `x* = T(x*; θ)` by the implicit function theorem.

    `v ↦ (∂T/∂θ)ᵀ w` with `w = (∂T/∂x)ᵀ w + v` at `x*`, the equation solved by an `acceleration`, each sample to
    the relative residual `tolerance`, in at most `iterations` products. By default it is Anderson's with 20
    differences: the equation is linear, where this works as GMRES does and a window of 5 takes twice the products.
    One step is taped, and both products come from that one tape, so memory does not grow with iterations of
    either pass. A backward solve that stops short is logged as a warning with its residual;
    `report` holds the last one's iterations and residuals.

    Raises `InputError` for settings out of range, and `CapabilityMissing` in a backward pass that is to be
    differentiated itself (`create_graph=True`). Source: Bai, Kolter and Koltun 2019, Deep equilibrium models,
    theorem 1.
    """

    source = "Bai, Kolter and Koltun 2019, Deep equilibrium models, theorem 1"
    requires_stationary = True
    exact = True

    def __init__(
        self, tolerance: float = 1e-6, iterations: int = 200, acceleration: Acceleration | None = None
    ) -> None:
        super().__init__()
        if not tolerance > 0 or iterations < 1:
            raise InputError(f"implicit gradients need tolerance > 0 and iterations ≥ 1; got {tolerance}, {iterations}")
        self.tolerance, self.iterations = tolerance, iterations
        self.acceleration = acceleration or Anderson(memory=20)
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
        if torch.is_grad_enabled():
            raise CapabilityMissing(
                "implicit gradients cannot be differentiated again: their derivative would silently be that of one "
                "step. Take the gradient 'unrolled', or leave out create_graph=True"
            )

        def apply(state: Adjoint) -> Adjoint:
            (product,) = torch.autograd.grad(image, x, state.w, retain_graph=True, allow_unused=True)
            return Adjoint(v if product is None else product + v)  # None: the map does not depend on its argument

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
    """Fixed point of `apply` from `v`, until `‖apply(w) − w‖ ≤ tolerance·‖v‖` for each sample.

    Samples whose `v` is not finite keep it, so that a loss scaling of half precision can see it.
    """
    state = Adjoint(v)
    memory = acceleration.init(state)
    scale = torch.linalg.vector_norm(v, dim=1).clamp_min(torch.finfo(v.dtype).tiny)
    residual = torch.full_like(scale, float("inf"))
    best, best_residual = v, residual
    products = 0
    hopeless = ~torch.isfinite(scale)
    while products < limit and not bool(((best_residual <= tolerance) | hopeless).all()):
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
