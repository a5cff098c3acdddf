"""Small problems in a ball and a box: the step of a trust-region method, and linear functions' extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, root_scalar

from .parameters import Vector

Matrix = NDArray[np.floating[Any]]


def least_squares_step(residuals: Vector, jacobian: Matrix, radius: float, lower: Vector, upper: Vector) -> Vector:
    """`argmin ‖r + J s‖²` over `‖s‖ ≤ radius`, `lower ≤ s ≤ upper` (with `lower ≤ 0 ≤ upper`).

    The multiplier `λ` of the ball is the root of `‖s(λ)‖ = radius`, where `s(λ)` solves the bounded
    least-squares problem with the rows `√λ·I` added (Moré and Sorensen 1983, with bounds inside).
    """
    scale = float(np.linalg.norm(jacobian))
    if scale == 0.0:
        return np.zeros_like(lower)
    least = 1e-16 * scale**2
    for multiplier in (0.0, least):
        step = _regularized_step(residuals, jacobian, multiplier, lower, upper)
        if np.linalg.norm(step) <= radius:
            return step
    # ‖s(λ)‖ ≤ ‖Jᵀr‖/λ, so the root lies below ‖Jᵀr‖/radius.
    most = max(2 * float(np.linalg.norm(jacobian.T @ residuals)) / radius, 2 * least)

    def excess(log_multiplier: float) -> float:
        s = _regularized_step(residuals, jacobian, float(np.exp(log_multiplier)), lower, upper)
        return 1 / radius - 1 / max(float(np.linalg.norm(s)), 1e-300)

    root = root_scalar(excess, bracket=(np.log(least), np.log(most)), method="brentq", xtol=1e-12).root
    step = _regularized_step(residuals, jacobian, float(np.exp(root)), lower, upper)
    return step * min(1.0, radius / float(np.linalg.norm(step)))


def linear_extreme(gradient: Vector, radius: float, lower: Vector, upper: Vector) -> Vector:
    """`argmax g·s` over `‖s‖ ≤ radius`, `lower ≤ s ≤ upper`: `s = clip(t g)` with the `t` that meets the ball."""
    corner = np.where(gradient > 0, upper, np.where(gradient < 0, lower, 0.0))
    if np.linalg.norm(corner) <= radius:
        return corner
    ceiling = radius / np.abs(gradient[gradient != 0]).min()
    low, high = 0.0, float(ceiling)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if np.linalg.norm(np.clip(middle * gradient, lower, upper)) <= radius:
            low = middle
        else:
            high = middle
        if high - low <= 1e-15 * high:
            break
    return np.clip(low * gradient, lower, upper)


def _regularized_step(residuals: Vector, jacobian: Matrix, multiplier: float, lower: Vector, upper: Vector) -> Vector:
    """`argmin ‖r + J s‖² + λ‖s‖²` in the box, to rounding, by an active-set method."""
    size = len(lower)
    matrix = np.vstack([jacobian, np.sqrt(multiplier) * np.eye(size)])
    rhs = np.concatenate([-residuals, np.zeros(size)])
    free = np.linalg.lstsq(matrix, rhs, rcond=None)[0]
    if np.all(free >= lower) and np.all(free <= upper):
        return free
    found = lsq_linear(matrix, rhs, bounds=_open(lower, upper), method="bvls", tol=1e-15, max_iter=100 * size)
    return np.clip(found.x, lower, upper)


def _open(lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """SciPy wants a box with an interior; one of the unit box has it but for rounding at its faces."""
    gap = 1e-16
    return np.minimum(lower, -gap), np.maximum(upper, gap)
