"""Steps in ball ∩ box against brute force, and the interpolation sets that the steps come from."""

from __future__ import annotations

import numpy as np
import pytest

from wellposed_bilevel.accuracy import Dynamic, Tolerance
from wellposed_bilevel.evaluation import Evaluation
from wellposed_bilevel.interpolation import InterpolationSet, first_points
from wellposed_bilevel.lower_level import Demand
from wellposed_bilevel.subproblem import least_squares_step, linear_extreme


def feasible_grid(radius: float, lower: np.ndarray, upper: np.ndarray, steps: int = 61) -> np.ndarray:
    axes = [np.linspace(max(lo, -radius), min(up, radius), steps) for lo, up in zip(lower, upper, strict=True)]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, len(axes))
    return points[np.linalg.norm(points, axis=1) <= radius]


def case(seed: int) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 4))
    rows = int(rng.integers(1, 8))
    jacobian = rng.normal(size=(rows, size)) * 10 ** rng.uniform(-3, 3, size)
    residuals = rng.normal(size=rows)
    lower, upper = -rng.uniform(0, 0.3, size) * (rng.random(size) > 0.2), rng.uniform(0.01, 0.3, size)
    return residuals, jacobian, float(rng.uniform(0.02, 0.4)), lower, upper


@pytest.mark.parametrize("seed", range(40))
def test_no_feasible_point_beats_the_step(seed: int) -> None:
    residuals, jacobian, radius, lower, upper = case(seed)
    s = least_squares_step(residuals, jacobian, radius, lower, upper)
    assert np.linalg.norm(s) <= radius * (1 + 1e-12)
    assert np.all(s >= lower)
    assert np.all(s <= upper)
    value = np.sum((residuals + jacobian @ s) ** 2)
    grid = feasible_grid(radius, lower, upper, 201 if len(lower) < 3 else 51)
    others = np.sum((residuals + grid @ jacobian.T) ** 2, axis=1)
    assert value <= others.min() * (1 + 1e-8) + 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_a_long_run_of_projected_gradients_finds_no_better_step(seed: int) -> None:
    """In five dimensions a grid is too coarse: projected gradients from the step must not move it."""
    rng = np.random.default_rng(seed)
    jacobian, residuals = rng.normal(size=(9, 5)), rng.normal(size=9)
    lower, upper, radius = -rng.uniform(0, 0.2, 5), rng.uniform(0, 0.2, 5), 0.25
    s = least_squares_step(residuals, jacobian, radius, lower, upper)
    value, z = np.sum((residuals + jacobian @ s) ** 2), s.copy()
    step = 0.5 / np.linalg.norm(jacobian, 2) ** 2
    for _ in range(200):
        z = project(z - step * 2 * jacobian.T @ (residuals + jacobian @ z), radius, lower, upper)
    assert value <= np.sum((residuals + jacobian @ z) ** 2) + 1e-9


def project(z: np.ndarray, radius: float, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Onto ball ∩ box: `clip(t z)` with the largest `t ≤ 1` in the ball."""
    low, high = 0.0, 1.0
    if np.linalg.norm(np.clip(z, lower, upper)) <= radius:
        return np.clip(z, lower, upper)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(np.clip(middle * z, lower, upper)) <= radius else (low, middle)
    return np.clip(low * z, lower, upper)


@pytest.mark.parametrize("seed", range(40))
def test_no_feasible_point_beats_the_linear_extreme(seed: int) -> None:
    _, jacobian, radius, lower, upper = case(seed)
    g = jacobian[0]
    s = linear_extreme(g, radius, lower, upper)
    assert np.linalg.norm(s) <= radius * (1 + 1e-12)
    assert np.all((s >= lower) & (s <= upper))
    grid = feasible_grid(radius, lower, upper)
    assert g @ s >= (grid @ g).max() * (1 - 1e-9) - 1e-12


def test_the_unconstrained_minimiser_is_found_exactly() -> None:
    jacobian = np.array([[2.0, 0.0], [0.0, 1e-5], [0.0, 0.0]])
    s = least_squares_step(np.array([-0.2, -1e-6, 1.0]), jacobian, 1.0, np.full(2, -1.0), np.full(2, 1.0))
    assert s == pytest.approx([0.1, 0.1], rel=1e-6)


def at(point: list[float], residuals: list[float], index: int = 0, bound: float = 0.0) -> Evaluation:
    bounds = np.full(len(residuals), bound)
    return Evaluation(index, np.array(point), np.array(residuals), bounds, 0.0, Demand(1.0), 1, True)


def test_the_model_of_linear_residuals_is_exact() -> None:
    rng = np.random.default_rng(3)
    matrix, shift = rng.normal(size=(4, 3)), rng.normal(size=4)
    points = rng.uniform(0.3, 0.6, size=(4, 3))
    first, *rest = [at(p.tolist(), (matrix @ p + shift).tolist(), i) for i, p in enumerate(points)]
    found = InterpolationSet(first, tuple(rest))
    assert found.jacobian[:4] == pytest.approx(matrix, abs=1e-10)
    step = found.step(0.05)
    new = matrix @ (points[0] + step.displacement) + shift
    assert step.predicted == pytest.approx(first.data - new @ new, rel=1e-9)


def test_far_badly_placed_and_loose_points_are_flaws_and_are_mended() -> None:
    centre = at([0.5, 0.5], [1.0])
    far = InterpolationSet(centre, (at([0.51, 0.5], [1.0]), at([0.5, 0.9], [1.0])))
    flaw = far.flaw(0.1, Tolerance(1.0))
    assert flaw is not None
    assert (flaw.t, flaw.misplaced) == (1, True)
    flat = InterpolationSet(centre, (at([0.6, 0.5], [1.0]), at([0.6, 0.501], [1.0])))
    flaw = flat.flaw(0.1, Tolerance(1.0))
    assert flaw is not None
    assert flaw.misplaced
    mended = flat.replaced(flaw.t, at(flat.placement(flaw.t, 0.1).tolist(), [1.0]))
    assert mended.flaw(0.1, Tolerance(1.0)) is None
    good = InterpolationSet(centre, (at([0.6, 0.5], [1.0], bound=0.2), at([0.5, 0.6], [1.0])))
    loose = good.flaw(0.1, Dynamic(factor=10.0))
    assert loose is not None
    assert (loose.t, loose.misplaced) == (0, False)


def test_moving_the_centre_keeps_the_points_in_general_position() -> None:
    centre = at([0.5, 0.5], [1.0])
    points = InterpolationSet(centre, (at([0.6, 0.5], [1.0]), at([0.5, 0.6], [1.0])))
    moved = points.moved(at([0.58, 0.5], [0.5]), 0.1)
    assert np.linalg.cond(moved.displacements) < 100
    assert moved.centre.value == pytest.approx(0.25)


def test_first_points_stay_in_the_box() -> None:
    points = first_points(np.array([0.95, 0.5]), 0.1)
    assert points[0] == pytest.approx([0.85, 0.5])
    assert points[1] == pytest.approx([0.95, 0.6])


def test_one_bound_that_is_met_from_either_side() -> None:
    """The free minimiser leaves the box in one coordinate alone, below or above."""
    for sign in (1.0, -1.0):
        jacobian, residuals = np.eye(2), -np.array([0.1, sign * 0.5])
        s = least_squares_step(residuals, jacobian, 0.4, np.array([-0.2, -0.2]), np.array([0.2, 0.2]))
        np.testing.assert_allclose(s, [0.1, sign * 0.2], atol=1e-12)


def test_a_centre_on_a_face_may_leave_it_inwards_alone() -> None:
    """Where the box has no room to one side, the step is zero or inwards, and the solver still has an interior."""
    jacobian, zeros = np.eye(2), np.zeros(2)
    inwards = least_squares_step(np.array([-0.3, 0.3]), jacobian, 1.0, zeros, np.ones(2))
    np.testing.assert_allclose(inwards, [0.3, 0.0], atol=1e-12)
    nowhere = least_squares_step(np.array([-0.3, 0.3]), jacobian, 1.0, -np.ones(2), zeros)
    np.testing.assert_allclose(nowhere, [0.0, -0.3], atol=1e-12)
