"""Evaluations on a budget, started from stored solutions, recorded, and replayed after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from wellposed import InputError
from wellposed.hooks.training import TrainingObserver

from .evaluation import Evaluation
from .lower_level import Demand
from .parameters import Vector
from .transcript import Transcript, evaluation_of
from .upper_level import UpperLevel


class BudgetSpent(Exception):
    """No evaluation is left; what was found so far is the result."""


@dataclass(frozen=True)
class Budget:
    """At most `evaluations`, and no new one after `work` lower-level iterations, summed over the images."""

    evaluations: int
    work: int | None = None

    def __post_init__(self) -> None:
        if self.evaluations < 1 or (self.work is not None and self.work < 1):
            raise InputError(f"a budget must be positive; got {self.evaluations} evaluations, {self.work} iterations")

    def spent(self, evaluations: int, work: int) -> bool:
        return evaluations >= self.evaluations or (self.work is not None and work >= self.work)


#: What a trainer computes at a point beside the objective, from the images: kept in the transcript.
Extra = Callable[[Evaluation, Tensor], Mapping[str, Any]]


class Evaluator:
    """Evaluates the upper level in the order in which it is asked, the same after an interruption.

    Warm starts are explicit: a lower-level solve starts from the stored images of the evaluation `own`
    (a re-evaluation), else from those of the nearest kept evaluation, else from zero. Each evaluation
    stores its own copy, and `retain` says which are kept.
    """

    def __init__(
        self,
        problem: UpperLevel,
        transcript: Transcript,
        budget: Budget,
        observer: TrainingObserver | None = None,
        extra: Extra | None = None,
    ) -> None:
        self.problem, self.transcript, self.budget = problem, transcript, budget
        self._observer, self._extra = observer or TrainingObserver(), extra
        self._kept: dict[int, Evaluation] = {}
        self._images: dict[int, Tensor] = {}
        self.count, self.work, self.missed = 0, 0, 0
        self.best: Evaluation | None = None

    def evaluate(self, point: Vector, demand: Demand, own: Evaluation | None = None) -> Evaluation:
        """The objective at `point`; raises `BudgetSpent`, and `InputError` where a replay takes another course."""
        return self.evaluate_with_extra(point, demand, own)[0]

    def evaluate_with_extra(
        self, point: Vector, demand: Demand, own: Evaluation | None = None
    ) -> tuple[Evaluation, Mapping[str, Any]]:
        """As `evaluate`, with what the trainer's `extra` computed there."""
        if self.budget.spent(self.count, self.work):
            raise BudgetSpent
        if self.count < len(self.transcript.recorded):
            entry: Mapping[str, Any] = self.transcript.recorded[self.count]
            evaluation = self._replayed(entry, point, demand)
        else:
            evaluation, entry = self._performed(point, demand, own)
        self._kept[evaluation.index] = evaluation
        self.count += 1
        self.work += evaluation.work
        self.missed += not evaluation.attained
        if self.best is None or evaluation.value < self.best.value:
            self.best = evaluation
        return evaluation, entry

    def retain(self, evaluations: Iterable[Evaluation]) -> None:
        """Keep the images of these evaluations alone."""
        keep = {e.index for e in evaluations}
        for index in [i for i in self._kept if i not in keep]:
            del self._kept[index]
            self._images.pop(index, None)
            self.transcript.forget(index)

    def _performed(self, point: Vector, demand: Demand, own: Evaluation | None) -> tuple[Evaluation, Mapping[str, Any]]:
        start = self._start(point, own)
        evaluation, x = self.problem.evaluate(self.count, point, demand, start)
        if not np.isfinite(evaluation.vector).all() or not np.isfinite(evaluation.value):
            theta = ", ".join(f"{path} = {value:g}" for path, value in self.problem.space.theta(point).items())
            raise InputError(
                f"the objective at {theta} is {evaluation.value:g}, which no model can be made of; narrow the box, "
                f"or check the units of the data and the weight of the penalty"
            )
        extra = {} if self._extra is None else self._extra(evaluation, x)
        self._images[evaluation.index] = x
        self.transcript.append(evaluation, x, extra, self.problem.space.theta(point))
        done = self.count + 1
        metrics = {"value": evaluation.value, "error": evaluation.error, "work": float(self.work + evaluation.work)}
        self._observer.step(done, self.budget.evaluations, metrics)
        self._observer.checkpoint(self.transcript.folder, done)
        return evaluation, self.transcript.recorded[-1]

    def _replayed(self, entry: Mapping[str, Any], point: Vector, demand: Demand) -> Evaluation:
        evaluation = evaluation_of(entry)
        same = np.allclose(evaluation.point, point, rtol=0, atol=1e-12) and _close(evaluation.demand, demand)
        if not same:
            raise InputError(
                f"evaluation {evaluation.index} in {self.transcript.folder} is not the one that this run asks for: "
                f"the folder was written by another version; choose another folder"
            )
        return evaluation

    def _start(self, point: Vector, own: Evaluation | None) -> Tensor | None:
        """Images to start from, never those that the solve could change."""
        if not self._kept:
            return None
        nearest = own or min(self._kept.values(), key=lambda e: (float(np.linalg.norm(e.point - point)), -e.index))
        if nearest.index not in self._images:
            stored = self.transcript.solution(nearest.index)
            self._images[nearest.index] = stored.to(self.problem.measurement.device)
        return self._images[nearest.index].clone()


def _close(a: Demand, b: Demand) -> bool:
    if a.iterations != b.iterations or (a.accuracy is None) != (b.accuracy is None):
        return False
    return a.accuracy is None or b.accuracy is None or abs(a.accuracy - b.accuracy) <= 1e-9 * a.accuracy
