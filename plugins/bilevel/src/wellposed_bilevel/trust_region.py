"""Derivative-free least squares in a trust region, with evaluations as accurate as each decision needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from wellposed import InputError

from .accuracy import Accuracy
from .evaluation import Evaluation
from .evaluator import BudgetSpent, Evaluator
from .interpolation import InterpolationSet, Step, first_points
from .lower_level import Demand
from .parameters import Vector

#: Ratios of actual to predicted decrease from which a step is accepted, and the region grows (η₁, η₂).
ACCEPTED, VERY_GOOD = 0.1, 0.7
_SHRINK, _GROW, _GROW_BEYOND_STEP = 0.5, 2.0, 4.0
#: A step shorter than this share of the radius says that the region is too large, not where to go.
_SHORT = 0.1
#: How often a trial whose error hides the decision is evaluated again.
_TRIALS = 5


class Ending(Enum):
    """Why the method stopped; the value is a sentence that helps."""

    RADIUS = "the trust region reached its final radius"
    BUDGET = "the budget was spent; allow more evaluations, or a larger final radius"
    FLOOR = (
        "the lower level could not be solved as accurately as the next decision needs; allow it more "
        "iterations, use double precision, or penalise its condition number"
    )


@dataclass(frozen=True)
class Region:
    """Initial, final and largest radius in the unit box."""

    initial: float = 0.1
    final: float = 1e-6
    largest: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.final < self.initial <= self.largest <= 0.5:
            raise InputError(
                f"the radii are fractions of the box with 0 < final < initial ≤ 0.5; got final {self.final}, "
                f"initial {self.initial}, largest {self.largest}"
            )


@dataclass(frozen=True)
class Decision:
    """One accepted or rejected step, for the record and for tests."""

    centre: Evaluation
    trial: Evaluation
    predicted: float
    accepted: bool
    radius: float


class LeastSquaresTrustRegion:
    """`min f(θ) = Σ r_i(θ)² + J(θ)` over the unit box from inexact evaluations.

    Each iteration minimises a Gauss–Newton model with interpolated derivatives in ball ∩ box, evaluates
    the centre again until its error is small beside the predicted decrease, evaluates the trial point as
    accurately, and accepts it where the actual decrease is at least a tenth of the predicted one. A step
    that fails first mends the model (geometry, accuracy), then halves the radius.

    Unlike Algorithm 1 of Ehrhardt and Roberts 2021 it accepts a certified decrease also where the model is
    not fully linear (Conn, Scheinberg and Vicente 2009, Algorithm 10.1, with a positive threshold).
    """

    def __init__(self, evaluator: Evaluator, accuracy: Accuracy, region: Region, start: Vector) -> None:
        self.evaluator, self.accuracy, self.region = evaluator, accuracy, region
        self.start, self.radius = start, region.initial
        self.decisions: list[Decision] = []
        self.points: InterpolationSet | None = None

    def run(self) -> Ending:
        try:
            self.points = self._first_set()
            while self.radius > self.region.final:
                self.points, resolved = self._iterate(self.points.with_best_centre(self.accuracy))
                if not resolved:
                    return Ending.FLOOR
                self.evaluator.retain((self.points.centre, *self.points.others))
        except BudgetSpent:
            return Ending.BUDGET
        return Ending.RADIUS

    @property
    def best(self) -> Evaluation:
        """What was found: the centre, unless an evaluation that the budget did not let it weigh is surely lower."""
        lowest = self.evaluator.best
        assert lowest is not None, "a budget allows one evaluation"
        if self.points is None:
            return lowest
        centre = self.points.with_best_centre(self.accuracy).centre
        return lowest if self.accuracy.is_lower(lowest, centre) else centre

    def _first_set(self) -> InterpolationSet:
        demand = self.accuracy.model(self.radius)
        centre = self.evaluator.evaluate(self.start, demand)
        others = [self.evaluator.evaluate(p, demand) for p in first_points(self.start, self.radius)]
        return InterpolationSet(centre, tuple(others))

    def _iterate(self, points: InterpolationSet) -> tuple[InterpolationSet, bool]:
        """The next interpolation set, and whether the lower level could be solved accurately enough."""
        step = points.step(self.radius)
        if self._is_idle(step):
            return self._mended_or_shrunk(points, step), True
        if not self.accuracy.resolves(points.centre, step.predicted):
            centre = points.centre
            demand = self.accuracy.decrease(self.radius, step.predicted, centre)
            again = self.evaluator.evaluate(centre.point, demand, own=centre)
            return points.recentred(again), again.attained
        trial = self._trial(points.centre, step)
        return self._decide(points, step, trial), True

    def _trial(self, centre: Evaluation, step: Step) -> Evaluation:
        """The trial point, evaluated until its error does not hide whether the step is good."""
        demand = self.accuracy.decrease(self.radius, step.predicted, centre)
        trial = self.evaluator.evaluate(np.clip(centre.point + step.displacement, 0.0, 1.0), demand)
        for _ in range(_TRIALS):
            hopeless = _ratio(centre, trial, step) < ACCEPTED
            if hopeless or not trial.attained or self.accuracy.resolves(trial, step.predicted):
                break
            tighter = self.accuracy.decrease(self.radius, step.predicted, trial)
            trial = self.evaluator.evaluate(trial.point, tighter, own=trial)
        return trial

    def _decide(self, points: InterpolationSet, step: Step, trial: Evaluation) -> InterpolationSet:
        ratio = _ratio(points.centre, trial, step)
        accepted = ratio >= ACCEPTED and self.accuracy.resolves(trial, step.predicted)
        self.decisions.append(Decision(points.centre, trial, step.predicted, accepted, self.radius))
        if accepted:
            moved = points.moved(trial, self.radius)
            if ratio >= VERY_GOOD:
                grown = max(_GROW * self.radius, _GROW_BEYOND_STEP * step.length)
                self.radius = min(grown, self.region.largest)
            return moved
        return self._mended_or_shrunk(points.enriched(trial, self.radius), step)

    def _mended_or_shrunk(self, points: InterpolationSet, step: Step) -> InterpolationSet:
        """One flaw of the model mended; where it has none, the region was too large."""
        flaw = points.flaw(self.radius, self.accuracy)
        if flaw is None:
            self.radius *= _SHRINK
            return points
        demand: Demand = self.accuracy.model(self.radius)
        if flaw.misplaced:
            return points.replaced(flaw.t, self.evaluator.evaluate(points.placement(flaw.t, self.radius), demand))
        loose = points.others[flaw.t]
        return points.replaced(flaw.t, self.evaluator.evaluate(loose.point, demand, own=loose))

    def _is_idle(self, step: Step) -> bool:
        return not step.predicted > 0 or step.length < _SHORT * self.radius


def _ratio(centre: Evaluation, trial: Evaluation, step: Step) -> float:
    return (centre.value - trial.value) / step.predicted
