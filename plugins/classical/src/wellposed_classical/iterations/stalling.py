"""Whether an image that no longer moves is a solution, or its steps have become too short to move it."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import Problem
from wellposed.space import norm

from .composite import Composite, descend
from .constants import reciprocal

#: A step moves an image if it changes it by more than this many roundings, …
_ROUNDINGS = 16.0
#: … and an image is no solution if a step of natural length changes it by this part of it.
FAR = 1e-3


def gradient_step_stalled(parts: Composite, problem: Problem, x: Tensor, step: Tensor) -> Tensor | None:
    """Samples that a step `s` leaves where they are though one of `1/L` does not, `(B,)` bool; `None` without `L`."""
    smoothness = parts.smoothness(problem, x)
    if smoothness is None:
        return None
    with torch.no_grad():
        gradient = parts.gradient(problem, x)
        own = parts.prox(descend(x, gradient, step), step) - x
        natural = reciprocal(smoothness)
        possible = parts.prox(descend(x, gradient, natural), natural) - x
    return unmoved(own, x) & far(possible, x)


def unmoved(change: Tensor, x: Tensor) -> Tensor:
    """`‖change‖` within rounding of `x`, `(B,)` bool."""
    return norm(change) <= _ROUNDINGS * torch.finfo(x.dtype).eps * norm(x)


def far(change: Tensor, x: Tensor) -> Tensor:
    """`change` beyond what convergence leaves, `(B,)` bool."""
    return norm(change) > FAR * norm(x)
