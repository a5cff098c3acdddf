"""How well a lower-level problem is conditioned, and a penalty on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from wellposed import CompositionError, InputError, LinearOperator, Problem


@dataclass(frozen=True)
class ConditionPenalty:
    """`J(θ) = weight · (L/μ)²`, the squared condition number of the lower level.

    It keeps the learned problem solvable. Source: Ehrhardt and Roberts 2021, section 4.2.
    """

    weight: float

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise InputError(f"the penalty's weight must be positive and finite; got {self.weight}")

    def __call__(self, problem: Problem) -> float:
        return self.weight * condition_number(problem) ** 2


def condition_number(problem: Problem) -> float:
    """`L/μ` of the objective, the worst of the batch; raises `CompositionError` where `L` or `μ` is not known."""
    x = problem.zeros()
    data = problem.fidelity.smoothness(problem.measurement) if problem.fidelity.smooth_everywhere else None
    prior = problem.regularizer.smoothness_on(x)
    size = problem.operator.norm()
    if data is None or prior is None or size is None:
        raise CompositionError(
            "the penalty on the condition number needs a smooth objective (l2 with smoothed-total-variation); "
            "leave the penalty out"
        )
    convexity = _double(problem.fidelity.strong_convexity(problem.measurement)) * _isometry(problem)
    smallest = float((convexity + problem.regularizer.strong_convexity).min())
    if not smallest > 0:
        raise CompositionError("the penalty on the condition number needs a strongly convex objective")
    return float((_double(data) * size**2 + prior).max()) / smallest


def _isometry(problem: Problem) -> float:
    """`c` where the operator declares `A*A = c·I`, else 0."""
    return (problem.operator.structure().isometry or 0.0) if isinstance(problem.operator, LinearOperator) else 0.0


def _double(constant: float | Tensor) -> Tensor:
    """In double precision whatever the images are in: the penalty is differentiated by differences."""
    return torch.as_tensor(constant, dtype=torch.float64)
