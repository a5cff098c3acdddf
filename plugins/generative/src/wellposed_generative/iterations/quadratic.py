"""Squared distances: the fidelities for which a step in the image is a linear equation."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import CompositionError
from wellposed.problem import Problem


def data_curvature(owner: object, problem: Problem) -> float | Tensor:
    """`w` of `D(v, y) = w/2 ‖v − y‖²`, a number or `(B,)`; raises `CompositionError` for another fidelity."""
    y = problem.measurement
    largest, least = problem.fidelity.smoothness(y), problem.fidelity.strong_convexity(y)
    everywhere = problem.fidelity.smooth_everywhere
    if largest is None or not everywhere or not bool((torch.as_tensor(largest) == torch.as_tensor(least)).all()):
        raise CompositionError(
            f"{type(owner).__name__} solves linear equations in the image, so the fidelity must be a squared distance "
            f"with one weight (l2); {type(problem.fidelity).__name__} is none here"
        )
    return largest


def data_slope(problem: Problem) -> Tensor:
    """`∇_v D(0, y)`, which is `−w y`."""
    return problem.fidelity.gradient(torch.zeros_like(problem.measurement), problem.measurement)
