"""The lower level: all images as one batch, solved to an asked-for, certified accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import CertifiedAccuracy, Iterative, Problem, Stop, solve


@dataclass(frozen=True)
class Demand:
    """What is asked of the lower level: a certified distance to the solution, or a number of iterations.

    `accuracy`: `‖x − x*‖` of each image; `None` asks for exactly `iterations` steps and no certificate.
    """

    accuracy: float | None = None
    iterations: int | None = None


@dataclass(frozen=True)
class LowerSolution:
    """Images `(B, *domain.shape)`, their certified errors `(B,)` (infinite where unknown), and the work done.

    `iterations`: the sum over the images. `attained`: whether every image has the accuracy asked for.
    """

    x: Tensor
    bounds: tuple[float, ...]
    iterations: int
    attained: bool


def solve_lower(solver: Iterative, problem: Problem, demand: Demand, start: Tensor | None) -> LowerSolution:
    """Solve the batch `problem` by the iteration of `solver`, from the images `start`.

    An image that is certified is no longer worked on. Raises `CompositionError` where an accuracy is
    asked of an iteration that certifies none on this problem.
    """
    with torch.no_grad():
        found = solve(
            problem,
            solver.iteration,
            stop=_stop(solver.stop, demand),
            acceleration=solver.acceleration,
            init=start,
        )
    bounds = torch.full((problem.batch,), torch.inf) if found.bound is None else found.bound
    bounds = bounds.nan_to_num(nan=torch.inf)
    attained = all(v.ok for v in found.verdict)
    return LowerSolution(found.x.detach(), tuple(bounds.tolist()), sum(found.iterations), attained)


def _stop(stop: Stop, demand: Demand) -> Stop:
    """The solver's own limit and testing interval, with the rule that the demand asks for alone."""
    limit = stop.iterations if demand.iterations is None else demand.iterations
    rules = [] if demand.accuracy is None else [CertifiedAccuracy(demand.accuracy)]
    return Stop(limit, list(rules), stop.every)
