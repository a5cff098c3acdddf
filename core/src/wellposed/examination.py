"""What is asked of a run that thinks it has ended well.

Did the objective rise, did a step collapse, is the image one that the regularizer's own model would not make?
"""

from __future__ import annotations

import torch
from torch import Tensor

from .iteration import Iteration
from .problem import Problem
from .solution import Verdict
from .space import norm
from .state import State

#: An image stands still where a step changes it by no more than this many roundings.
_ROUNDINGS = 16.0
#: The objective has risen where it is above that of the start by more than this part of it.
_RISE = 1e-3
#: Verdicts that rest on no certificate.
_TRUSTED = (Verdict.COMPLETED, Verdict.CONVERGED, Verdict.ITERATION_LIMIT)


def stands_still(x: Tensor, previous: Tensor) -> Tensor:
    """Samples that the last step has not moved but for rounding, `(B,)` bool."""
    return norm(x - previous) <= _ROUNDINGS * torch.finfo(x.dtype).eps * norm(x)


@torch.no_grad()
def examined(
    problem: Problem, iteration: Iteration, state: State, start: Tensor, still: list[bool], verdicts: list[Verdict]
) -> list[Verdict]:
    """The verdicts, with `OBJECTIVE_ROSE`, `STALLED` and `IMPLAUSIBLE` where they hold, the first of them that does.

    Certified samples stay what they are.
    """
    doubtful = [v in _TRUSTED for v in verdicts]
    if iteration.solves != "objective" or not any(doubtful):
        return verdicts
    x = iteration.estimate(state)
    risen, strange = _risen(problem, start, x), problem.regularizer.implausible(x)
    collapsed = _collapsed(problem, iteration, state, [a and b for a, b in zip(doubtful, still, strict=True)])
    found = list(verdicts)
    for i in (i for i, doubt in enumerate(doubtful) if doubt):
        if risen[i]:
            found[i] = Verdict.OBJECTIVE_ROSE
        elif collapsed[i]:
            found[i] = Verdict.STALLED
        elif strange is not None and bool(strange[i]):
            found[i] = Verdict.IMPLAUSIBLE
    return found


def _risen(problem: Problem, start: Tensor, x: Tensor) -> list[bool]:
    """Where the objective is above that of the start image; infinite values of regularizers (constraints) tell nothing.

    A data term that has become infinite has risen, unless a thousandth of the way back to the start it is finite:
    solutions may lie on the border of where it is.
    """
    nearby = torch.lerp(x, start, _RISE)
    lost = torch.isfinite(problem.data_value(start)) & ~torch.isfinite(problem.data_value(nearby))
    if "value" not in problem.regularizer.capabilities:
        return lost.tolist()
    before, after = problem.objective(start), problem.objective(x)
    known = torch.isfinite(before) & torch.isfinite(after)
    return (lost | known & (after - before > _RISE * before.abs())).tolist()


def _collapsed(problem: Problem, iteration: Iteration, state: State, still: list[bool]) -> list[bool]:
    """Where the image stands still and the iteration says that it is no solution."""
    stalled = iteration.stalled(problem, state) if any(still) else None
    if stalled is None:
        return [False] * len(still)
    return [a and b for a, b in zip(still, stalled.tolist(), strict=True)]
