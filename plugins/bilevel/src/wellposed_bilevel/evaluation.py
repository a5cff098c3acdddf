"""One evaluation of the upper-level objective, and what its error can be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .lower_level import Demand
from .parameters import Vector


@dataclass(frozen=True)
class Evaluation:
    """Residuals `r_i = ‖x_i − truth_i‖` at `point` of the unit box, from images certified to `bounds`.

    `penalty`: `J(θ)`, exact. `work`: lower-level iterations, summed over the images. `attained`: whether
    the demand was met. `index`: its place in the transcript, which also names its stored images.
    """

    index: int
    point: Vector
    residuals: Vector
    bounds: Vector
    penalty: float
    demand: Demand
    work: int
    attained: bool

    @cached_property
    def value(self) -> float:
        """`f = Σ r_i² + J`."""
        return self.data + self.penalty

    @cached_property
    def data(self) -> float:
        return float(self.residuals @ self.residuals)

    @cached_property
    def error(self) -> float:
        """A bound on `|f − exact f|`."""
        return objective_error(self.residuals, self.bounds)

    @cached_property
    def vector(self) -> Vector:
        """The residuals that models interpolate: `(r_1, …, r_n, √J)`."""
        return np.append(self.residuals, np.sqrt(self.penalty))


def objective_error(residuals: Vector, bounds: Vector) -> float:
    """`|Σ r_i² − Σ r*_i²| ≤ Σ (2 r_i d_i + d_i²)`, since `|r_i − r*_i| ≤ d_i`.

    With `d_i = d` it is at most `2√(n f) d + n d²`: Ehrhardt and Roberts 2021, section 3.1.
    """
    return float(np.sum(2 * residuals * bounds + bounds**2))


def accuracy_for(error: float, data: float, count: int) -> float:
    """The accuracy `d` of `count` images for which the objective's error is at most `error`.

    It solves `2√(n f) d + n d² = error`, written without cancellation.
    """
    return error / ((np.sqrt(data + error) + np.sqrt(data)) * np.sqrt(count))
