"""Linear models of the residuals through `p + 1` evaluated points, and the repair of their geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .accuracy import Accuracy
from .evaluation import Evaluation
from .parameters import Vector
from .subproblem import Matrix, least_squares_step, linear_extreme

#: Points farther than this many radii from the centre do not tell of the region.
_FAR = 2.0
#: Largest admissible value of a Lagrange polynomial in the region (Conn, Scheinberg and Vicente 2009, chapter 3).
_POISED = 10.0


@dataclass(frozen=True)
class Step:
    """A step from the centre and the decrease that the model predicts for it."""

    displacement: Vector
    predicted: float

    @property
    def length(self) -> float:
        return float(np.linalg.norm(self.displacement))


@dataclass(frozen=True)
class Flaw:
    """The point `t` spoils the model: it is `misplaced`, or it is in place and its evaluation too inaccurate."""

    t: int
    misplaced: bool


@dataclass(frozen=True)
class InterpolationSet:
    """The centre of the trust region and `p` further evaluations, in the unit box `[0, 1]^p`.

    The model is `r(centre + s) ≈ r + J s` with `J` from the differences: the objective's Gauss–Newton
    model `m(s) = ‖r + J s‖²`. The Lagrange polynomial of point `t` is `ℓ_t(s) = g_t·s`.
    """

    centre: Evaluation
    others: tuple[Evaluation, ...]

    @property
    def displacements(self) -> Matrix:
        """Rows `y_t − centre`."""
        return np.stack([e.point - self.centre.point for e in self.others])

    @property
    def jacobian(self) -> Matrix:
        differences = np.stack([e.vector - self.centre.vector for e in self.others])
        return np.linalg.solve(self.displacements, differences).T

    @property
    def lagrange(self) -> Matrix:
        """Columns `g_t`."""
        return np.linalg.inv(self.displacements)

    def step(self, radius: float) -> Step:
        """The model's minimiser within the trust region and the box."""
        residuals, jacobian = self.centre.vector, self.jacobian
        s = least_squares_step(residuals, jacobian, radius, *self._room())
        model = residuals + jacobian @ s
        return Step(s, float(residuals @ residuals - model @ model))

    def flaw(self, radius: float, accuracy: Accuracy) -> Flaw | None:
        """What keeps the model from being fully linear within `radius`: a far, badly placed or inaccurate point."""
        distances = np.linalg.norm(self.displacements, axis=1)
        if distances.max() > _FAR * radius:
            return Flaw(int(distances.argmax()), misplaced=True)
        heights = [float(g @ linear_extreme(np.abs(g), radius, *self._reach(g))) for g in self.lagrange.T]
        if max(heights) > _POISED:
            return Flaw(int(np.argmax(heights)), misplaced=True)
        loose = [t for t, e in enumerate(self.others) if e.attained and not accuracy.supports(e, radius)]
        return Flaw(loose[0], misplaced=False) if loose else None

    def placement(self, t: int, radius: float) -> Vector:
        """Where point `t` serves the geometry best: the extreme of its Lagrange polynomial in the region."""
        g = self.lagrange[:, t]
        up = linear_extreme(g, radius, *self._room())
        down = linear_extreme(-g, radius, *self._room())
        best = up if abs(g @ up) >= abs(g @ down) else down
        return np.clip(self.centre.point + best, 0.0, 1.0)

    def recentred(self, evaluation: Evaluation) -> InterpolationSet:
        """The centre evaluated again, more accurately."""
        return InterpolationSet(evaluation, self.others)

    def replaced(self, t: int, evaluation: Evaluation) -> InterpolationSet:
        others = (*self.others[:t], evaluation, *self.others[t + 1 :])
        return InterpolationSet(self.centre, others)

    def with_best_centre(self, accuracy: Accuracy) -> InterpolationSet:
        """The same points with the lowest as centre, where one is surely lower than the centre."""
        t = min(range(len(self.others)), key=lambda i: self.others[i].value)
        lowest = self.others[t]
        if not accuracy.is_lower(lowest, self.centre):
            return self
        return InterpolationSet(lowest, (*self.others[:t], self.centre, *self.others[t + 1 :]))

    def moved(self, evaluation: Evaluation, radius: float) -> InterpolationSet:
        """The centre moved to `evaluation`; the point that the geometry misses least is dropped."""
        values = self._values(evaluation)
        all_values = np.append(values, 1 - values.sum())
        points = [*self.others, self.centre]
        distances = np.array([np.linalg.norm(e.point - evaluation.point) for e in points])
        drop = int(np.argmax(np.abs(all_values) * np.maximum(1.0, distances / radius) ** 2))
        return InterpolationSet(evaluation, tuple(e for i, e in enumerate(points) if i != drop))

    def enriched(self, evaluation: Evaluation, radius: float) -> InterpolationSet:
        """The evaluation of a rejected step in place of a point that it replaces well, if there is one."""
        values = self._values(evaluation)
        distances = np.linalg.norm(self.displacements, axis=1)
        merit = np.abs(values) * np.maximum(1.0, distances / radius) ** 2
        t = int(np.argmax(merit))
        return self.replaced(t, evaluation) if abs(values[t]) > 1 / _POISED else self

    def _values(self, evaluation: Evaluation) -> Vector:
        return self.lagrange.T @ (evaluation.point - self.centre.point)

    def _room(self) -> tuple[Vector, Vector]:
        """The box seen from the centre."""
        return -self.centre.point, 1.0 - self.centre.point

    def _reach(self, g: Vector) -> tuple[Vector, Vector]:
        """The box seen from the centre, mirrored so that `|g|` stands for `g`: its farther side counts."""
        reach = np.maximum(self.centre.point, 1.0 - self.centre.point)
        return np.zeros_like(g), reach


def first_points(start: Vector, radius: float) -> list[Vector]:
    """The start moved by `radius` along each axis, away from the nearer face where there is no room."""
    points = []
    for i in range(len(start)):
        moved = start.copy()
        moved[i] += radius if start[i] + radius <= 1.0 else -radius
        points.append(np.clip(moved, 0.0, 1.0))
    return points
