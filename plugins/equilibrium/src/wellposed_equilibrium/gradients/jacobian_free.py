"""Jacobian-free backpropagation: the gradient of one application of the map at the fixed point."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from wellposed import Gradient, Iteration, Problem, State

S = TypeVar("S", bound=State)


class JacobianFree(Gradient):
    """`dx/dθ ≈ ∂T(x*; θ)/∂θ`: the implicit gradient with `(I − ∂T/∂x)⁻¹` replaced by the identity.

    One taped step, no backward solve, memory of one step. A descent direction for contractions under the
    conditions of the source; shorter than the true gradient.

    Source: Fung et al. 2022, JFB: Jacobian-free backpropagation for implicit networks, eq. (12).
    """

    source = "Fung et al. 2022, JFB: Jacobian-free backpropagation for implicit networks"
    requires_stationary = True

    def resolvent(self, eigenvalue: Tensor) -> Tensor:
        return torch.ones_like(eigenvalue)

    def attach(self, problem: Problem, iteration: Iteration, state: S) -> S:
        return iteration.step(problem, state.detach())
