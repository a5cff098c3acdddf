"""What is measured along the iterations, so that a quantity which cannot be measured costs no reconstruction."""

from __future__ import annotations

import warnings

from torch import Tensor

from ..driver import Monitor
from ..fidelity import Unstated
from ..metric import Metric
from ..problem import Problem
from ..stopping import Progress

OBJECTIVE = "objective"


def has_objective(problem: Problem) -> bool:
    """Whether the problem minimises something (a network does not) whose value can be computed."""
    return not isinstance(problem.fidelity, Unstated) and "value" in problem.regularizer.capabilities


def warn_of_missing_value(label: str, problem: Problem) -> None:
    """Say, before the work, that a solver's objective is not measured since its regularizer has no value."""
    if not isinstance(problem.fidelity, Unstated) and not has_objective(problem):
        prior = type(problem.regularizer).__name__
        warnings.warn(f"solver {label}: the objective is not monitored, since {prior} has no value", stacklevel=2)


def objective(progress: Progress) -> Tensor:
    return progress.problem.objective(progress.x)


def against(truth: Tensor, metric: Metric) -> Monitor:
    """The metric of the estimate, compared with `truth`."""
    return lambda progress: metric(progress.x, truth)
