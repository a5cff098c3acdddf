"""How far iterations end from reference solutions, from their certified bounds and from what their verdicts say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from agreement_cases import Case
from reference_solutions import Programme

from wellposed import CompositionError, InputError, Iteration, Solution, Stop, component, solve
from wellposed.registry import registry
from wellposed.stopping import RelativeChange

BLOCKS = 3
#: Changes per step that end a run, and the most steps; slow iterations meet the limit.
ENDS = {torch.float64: (1e-11, 5_000), torch.float32: (3e-7, 2_000)}
#: Objectives far below that of the zero image are differences of rounded numbers: what counts as their size.
FLOOR = {torch.float64: 1e-3, torch.float32: 0.1}


@dataclass(frozen=True)
class Outcome:
    """One sample: distances are relative, to 1 % of the true image where the solution is smaller than that.

    `distance` is not-a-number where the minimiser may not be unique; `excess` is the objective above the minimum,
    relative to it or to a part (`FLOOR`) of that of zero; `beyond` the distance less the bound, relative as well.
    """

    case: str
    fidelity: str
    iteration: str
    sample: int
    distance: float
    excess: float
    violation: float
    beyond: float
    condition: float
    ok: bool
    verdict: str
    steps: int


@dataclass(frozen=True)
class Reference:
    programme: Programme
    x: np.ndarray
    value: float
    scale: float
    level: float

    @classmethod
    def of(cls, case: Case, sample: int) -> Reference:
        programme = Programme.of(case.problem, sample)
        x, value = programme.solve()
        scale = max(float(np.linalg.norm(x)), float(case.size[sample]))
        level = max(abs(value), FLOOR[case.dtype] * abs(programme.value_at(np.zeros_like(x))), 1e-9)
        return cls(programme, x, value, scale, level)


def fitting(case: Case) -> Iterator[tuple[str, Iteration]]:
    """All registered iterations that go to the minimiser of the objective and fit, with their default steps."""
    for entry in registry().entries("iterations"):
        cls = component("iterations", entry.name)
        if cls.solves != "objective":
            continue
        iteration = cls(blocks=BLOCKS) if entry.name == "stochastic-gradient" else cls()
        try:
            iteration.check(case.problem)
        except (CompositionError, InputError):
            continue
        yield entry.name, iteration


def outcomes(case: Case) -> Iterator[Outcome]:
    """Every fitting iteration on every sample."""
    references = [Reference.of(case, i) for i in range(case.problem.batch)]
    tolerance, limit = ENDS[case.dtype]
    for name, iteration in fitting(case):
        solution = solve(case.problem, iteration, stop=Stop(limit, [RelativeChange(tolerance)], every=10))
        for sample, reference in enumerate(references):
            yield _compared(case, name, solution, sample, reference)


def _compared(case: Case, name: str, solution: Solution, sample: int, reference: Reference) -> Outcome:
    programme = reference.programme
    x = programme.layout.vector(solution.x[sample])
    away = float(np.linalg.norm(x - reference.x))
    bound = float("inf") if solution.bound is None else float(solution.bound[sample])
    return Outcome(
        case=case.name,
        fidelity=case.fidelity,
        iteration=name,
        sample=sample,
        distance=away / reference.scale if programme.unique else float("nan"),
        excess=abs(programme.value_at(x) - reference.value) / reference.level,
        violation=programme.violation_at(x) / reference.scale,
        beyond=(away - bound) / reference.scale,
        condition=programme.condition,
        ok=solution.verdict[sample].ok,
        verdict=solution.verdict[sample].name,
        steps=solution.iterations[sample],
    )
