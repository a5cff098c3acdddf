"""The trust region: how it grows and shrinks, what it does near a wall, and what evaluations cost it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from wellposed import InputError
from wellposed_bilevel.accuracy import Dynamic, Iterations, Tolerance
from wellposed_bilevel.evaluation import Evaluation
from wellposed_bilevel.evaluator import BudgetSpent
from wellposed_bilevel.interpolation import Step
from wellposed_bilevel.lower_level import Demand
from wellposed_bilevel.parameters import Vector
from wellposed_bilevel.trust_region import ACCEPTED, Decision, Ending, LeastSquaresTrustRegion, Region


@dataclass
class Curve:
    """Stands for an evaluator: `r(θ) = scale·(1 ± (θ − minimum))`, so that `f` is a parabola and models are exact."""

    minimum: Vector
    scale: float = 1.0
    budget: int = 200
    bound: float | None = None
    attained: bool = True
    asked: list[tuple[Vector, Demand]] = field(default_factory=list)
    best: Evaluation | None = None

    def residuals(self, point: Vector) -> Vector:
        offset = point - self.minimum
        return self.scale * np.concatenate([1 + offset, 1 - offset])

    def evaluate(self, point: Vector, demand: Demand, own: Evaluation | None = None) -> Evaluation:
        if len(self.asked) >= self.budget:
            raise BudgetSpent
        self.asked.append((np.array(point), demand))
        residuals = self.residuals(np.asarray(point))
        bound = (demand.accuracy or 0.0) if self.bound is None else self.bound
        found = Evaluation(
            len(self.asked), np.array(point), residuals, np.full(len(residuals), bound), 0.0, demand, 1, self.attained
        )
        if self.best is None or found.value < self.best.value:
            self.best = found
        return found

    def retain(self, kept: tuple[Evaluation, ...]) -> None:
        self.kept = kept


def method(curve: Curve, start: list[float], region: Region | None = None, **accuracy: float):
    asked = Dynamic(**accuracy) if accuracy else Dynamic()
    return LeastSquaresTrustRegion(curve, asked, region or Region(), np.array(start))  # type: ignore[arg-type]


def radii(found: LeastSquaresTrustRegion) -> list[float]:
    return [decision.radius for decision in found.decisions]


def test_the_minimum_of_a_linear_residual_is_found() -> None:
    curve = Curve(np.array([0.62, 0.31]))
    found = method(curve, [0.2, 0.8])
    assert found.run() is Ending.RADIUS
    np.testing.assert_allclose(found.best.point, [0.62, 0.31], atol=1e-4)
    assert found.radius <= 1e-6
    assert len(curve.asked) < 150


def test_very_good_steps_double_the_radius_up_to_the_largest() -> None:
    """On a linear residual predictions are exact, so that every step to the rim is very good."""
    far = method(Curve(np.array([0.9])), [0.1], Region(0.01, 1e-6, 0.5))
    far.run()
    assert radii(far)[:4] == pytest.approx([0.01, 0.04, 0.16, 0.5])  # four times a step as long as the radius
    assert all(decision.accepted for decision in far.decisions[:4])
    capped = method(Curve(np.array([0.9])), [0.1], Region(0.05, 1e-6, 0.1))
    capped.run()
    assert max(radii(capped)) == pytest.approx(0.1)
    assert radii(capped)[:3] == pytest.approx([0.05, 0.1, 0.1])


def test_a_very_good_short_step_doubles_the_radius() -> None:
    """A step of half the radius lets the region grow to twice itself: `max(2Δ, 4·step)`; of a fifth, twice too."""
    for share, grown in ((0.5, 0.2), (0.2, 0.2), (0.8, 0.32)):
        curve = Curve(np.array([0.5 + 0.1 * share]))
        found = method(curve, [0.5], Region(0.1, 1e-6, 0.5))
        points = found._first_set()
        moved, resolved = points.with_best_centre(found.accuracy), False
        while not found.decisions:
            moved, resolved = found._iterate(moved)
        assert resolved
        assert found.decisions[0].accepted
        assert found.radius == pytest.approx(grown)


class Wrong(Curve):
    """A residual that turns round beyond the first model: what is predicted does not come."""

    def residuals(self, point: Vector) -> Vector:
        bent = bool(np.abs(point - 0.5).max() > 0.06)
        return np.full(2, 3.0) if bent else super().residuals(point)


def test_a_step_that_fails_halves_the_radius_once_the_model_has_no_flaw() -> None:
    found = method(Wrong(np.array([0.8])), [0.5], Region(0.05, 1e-3, 0.5))
    found.run()
    rejected = [decision for decision in found.decisions if not decision.accepted]
    assert rejected
    assert all(d.centre.value - d.trial.value < ACCEPTED * d.predicted for d in rejected)
    fallen = [a / b for a, b in zip(radii(found)[:-1], radii(found)[1:], strict=True)]
    assert max(fallen) == pytest.approx(2.0)
    assert abs(float(found.best.point[0]) - 0.56) < 0.01  # as far as the bend


def test_a_trial_point_stays_in_the_box() -> None:
    curve = Curve(np.array([1.7, -0.4]))
    found = method(curve, [0.9, 0.1])
    found.run()
    assert all(((point >= 0) & (point <= 1)).all() for point, _ in curve.asked)
    np.testing.assert_allclose(found.best.point, [1.0, 0.0], atol=1e-6)


def test_a_trial_whose_error_hides_the_decision_is_evaluated_again_and_only_so_often() -> None:
    """With errors that stay large whatever is asked, five times; where the demand cannot be met, once."""
    step = Step(np.array([0.05]), 1.0)
    for attained, times in ((True, 6), (False, 1)):
        curve = Curve(np.array([0.9]), scale=10.0, bound=0.5, attained=attained)
        found = method(curve, [0.5])
        centre = curve.evaluate(np.array([0.5]), Demand(0.1))
        curve.asked.clear()
        found._trial(centre, step)
        assert len(curve.asked) == times


def test_a_hopeless_trial_is_not_evaluated_again() -> None:
    curve = Curve(np.array([0.1]), scale=10.0, bound=0.5)
    found = method(curve, [0.5])
    centre = curve.evaluate(np.array([0.5]), Demand(0.1))
    curve.asked.clear()
    trial = found._trial(centre, Step(np.array([0.05]), 1.0))
    assert trial.value > centre.value
    assert len(curve.asked) == 1


def test_a_centre_whose_error_is_too_large_is_evaluated_again_before_a_step() -> None:
    curve = Curve(np.array([0.9]), scale=1e-3)  # tiny decreases, coarse first evaluations
    found = method(curve, [0.5])
    found.run()
    asked = [demand.accuracy for point, demand in curve.asked if abs(point[0] - 0.5) < 1e-12]
    assert len(asked) > 1
    assert asked[1] < asked[0]


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_a_spent_budget_is_an_ending_and_the_best_is_kept(budget: int) -> None:
    curve = Curve(np.array([0.9, 0.9]), budget=budget)
    found = method(curve, [0.5, 0.5])
    assert found.run() is Ending.BUDGET
    assert found.best.value <= min(e.value for e in [curve.best] if e is not None)


def test_an_idle_step_is_one_without_decrease_or_much_shorter_than_the_radius() -> None:
    found = method(Curve(np.array([0.9])), [0.5], Region(0.1))
    idle = [found._is_idle(Step(np.array([length]), predicted)) for length, predicted in IDLE]
    assert idle == [False, True, True, True, False]


IDLE = [(0.05, 1.0), (0.05, 0.0), (0.05, float("nan")), (0.0099, 1.0), (0.0101, 1.0)]


@pytest.mark.parametrize(
    "radii", [{"final": 0.0}, {"final": 0.2}, {"initial": 0.6}, {"largest": 0.6}, {"initial": 0.3, "largest": 0.2}]
)
def test_radii_that_make_no_region(radii: dict) -> None:
    with pytest.raises(InputError, match="fractions of the box"):
        Region(**radii)


def test_documented_numbers() -> None:
    assert Region() == Region(0.1, 1e-6, 0.5)
    assert Region(0.5, 0.1, 0.5).initial == 0.5
    assert Dynamic() == Dynamic(10.0, 0.04)
    assert Decision.__dataclass_fields__.keys() == {"centre", "trial", "predicted", "accepted", "radius"}


def evaluation(residual: float, bound: float, attained: bool = True) -> Evaluation:
    return Evaluation(0, np.array([0.5]), np.array([residual]), np.array([bound]), 0.0, Demand(0.1), 1, attained)


def test_each_accuracy_asks_supports_and_resolves_as_it_says() -> None:
    dynamic, tolerance, iterations = Dynamic(10.0, 0.04), Tolerance(1e-3), Iterations(7)
    assert dynamic.model(1e-9).accuracy == 1e-14
    assert dynamic.decrease(1e-9, 1.0, evaluation(1.0, 0.1)).accuracy == 1e-14
    assert dynamic.decrease(0.1, 1e-300, evaluation(1.0, 0.1)).accuracy == 1e-14
    asked = dynamic.decrease(0.1, 0.01, evaluation(1.0, 0.1)).accuracy
    assert asked is not None
    assert 2 * asked + asked**2 == pytest.approx(0.99 * 0.04 * 0.01)
    assert dynamic.resolves(evaluation(0.5, 0.04), 1.0) == (0.5 * 2 * 0.04 + 0.04**2 <= 0.04)
    assert Dynamic(share=0.125**2).resolves(evaluation(0.0, 0.125), 1.0)  # an error of exactly the share
    assert dynamic.supports(evaluation(1.0, 0.1), 0.1)
    assert not dynamic.supports(evaluation(1.0, 0.1001), 0.1)
    assert (tolerance.model(0.1), tolerance.decrease(0.1, 1.0, evaluation(1.0, 0.0))) == (Demand(1e-3), Demand(1e-3))
    assert tolerance.resolves(evaluation(1.0, 9.0), 1e-9)
    assert not tolerance.resolves(evaluation(1.0, 0.0, attained=False), 1.0)
    assert tolerance.supports(evaluation(1.0, 9.0), 1e-9)
    assert iterations.model(0.1) == iterations.decrease(0.1, 1.0, evaluation(1.0, 0.0)) == Demand(iterations=7)
    assert iterations.resolves(evaluation(1.0, 9.0), 1e-9)
    assert iterations.supports(evaluation(1.0, 9.0), 1e-9)


def test_equal_is_not_lower() -> None:
    same = evaluation(1.0, 0.0)
    assert not any(a.is_lower(same, same) for a in (Dynamic(), Tolerance(1.0), Iterations(1)))


@pytest.mark.parametrize("share", [0.0, -0.01, 0.05])
def test_shares_and_factors_out_of_range(share: float) -> None:
    with pytest.raises(InputError, match=r"share must lie in \(0, 0.05\)"):
        Dynamic(share=share)
    for factor in (0.0, -1.0):
        with pytest.raises(InputError, match="factor of dynamic accuracy must be positive"):
            Dynamic(factor=factor)
    with pytest.raises(InputError, match="at least one iteration"):
        Iterations(0)
    assert Iterations(1).iterations == 1
