"""Gradients: how the result of an iteration is differentiated, independent of the iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .errors import InputError
from .iteration import Iteration
from .module import ComponentModule
from .problem import Problem
from .state import State

S = TypeVar("S", bound=State)


class Gradient(ComponentModule):
    """How the final state depends on parameters, measurement and start, for automatic differentiation.

    The driver runs the loop without a tape unless `records_loop`; then it calls `attach` on the final
    state, under the caller's gradient mode, which may connect it (one taped step, a backward solve).
    `wrap` may change how one step is taped.
    """

    records_loop: bool = False
    requires_stationary: bool = False
    #: Whether the derivative is that of the solution, once the iteration has converged.
    exact: bool = False

    def resolvent(self, eigenvalue: Tensor) -> Tensor | None:
        """What stands for `1/(1 − λ)` in the derivative, for eigenvalues `λ` of `∂T/∂x` at the fixed point.

        The derivative of a fixed point is `(I − ∂T/∂x)⁻¹ ∂T/∂θ`; approximations put something else for the
        inverse. `None` where nothing is promised of it but a direction.
        """
        return 1 / (1 - eigenvalue) if self.exact else None

    def wrap(self, step: Callable[[S], S]) -> Callable[[S], S]:
        return step

    def attach(self, problem: Problem, iteration: Iteration, state: S) -> S:
        return state


class NoGradient(Gradient):
    """The result is a constant: classical reconstruction, derivative-free learning."""

    source = "no differentiation"

    def attach(self, problem: Problem, iteration: Iteration, state: S) -> S:
        return state.detach()


class Unrolled(Gradient):
    """Differentiate through every step; memory grows with their number.

    `checkpoint`: store states alone and recompute each step in the backward pass, which divides the
    memory by what one step stores at the cost of one more forward pass.
    """

    source = "Gregor and LeCun 2010 (unrolling); Chen et al. 2016, arXiv:1604.06174 (checkpoints)"
    records_loop = True
    exact = True

    def __init__(self, checkpoint: bool = False) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def wrap(self, step: Callable[[S], S]) -> Callable[[S], S]:
        if not self.checkpoint:
            return step

        def taped(state: S) -> S:
            tensors = state.tensors(bookkeeping=True)
            template = None

            def run(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
                nonlocal template
                given = iter(values)
                template = step(state.map(lambda _: next(given)))
                return tuple(template.tensors(bookkeeping=True))

            out = checkpoint(run, *tensors, use_reentrant=False)
            if template is None or out is None:
                raise InputError("checkpointing returned no state")
            given = iter(out)
            return template.map(lambda _: next(given))

        return taped
