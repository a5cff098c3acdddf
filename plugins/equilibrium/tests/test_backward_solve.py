"""The backward solve `w = Jᵀw + v`: samples that converge, that do not, and that are not finite, in one batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import Acceleration
from wellposed.acceleration import NoAcceleration
from wellposed_equilibrium.accelerations.anderson import Anderson
from wellposed_equilibrium.gradients.implicit import Adjoint, solve_adjoint

V = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], dtype=torch.float64)


def scaling(factors: list[float]):
    """`w ↦ f w + v`, with the solution `v/(1 − f)`."""
    column = torch.tensor(factors, dtype=torch.float64)[:, None]
    return lambda state: Adjoint(column * state.w + V[: len(factors)])


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_it_has_converged_when_every_sample_has(slow: int) -> None:
    factors = [0.1, 0.2, 0.3]
    factors[slow] = 0.99
    w, report = solve_adjoint(scaling(factors), V, NoAcceleration(), 1e-6, 30)
    assert not report.converged
    assert report.iterations == 30
    assert [r <= 1e-6 for r in report.residual] == [i != slow for i in range(3)]
    for i in range(3):
        if i != slow:
            torch.testing.assert_close(w[i], V[i] / (1 - factors[i]), rtol=1e-5, atol=0)
    _, report = solve_adjoint(scaling(factors), V, NoAcceleration(), 1e-6, 3000)
    assert report.converged
    assert 900 < report.iterations < 1600


@pytest.mark.parametrize("acceleration", [NoAcceleration(), Anderson()])
def test_residuals_are_relative_to_what_is_differentiated(acceleration: Acceleration) -> None:
    v = V * torch.tensor([[1.0], [1e6], [1e-6]], dtype=torch.float64)
    column = torch.tensor([[0.5], [0.4], [-0.3]], dtype=torch.float64)
    w, report = solve_adjoint(lambda s: Adjoint(column * s.w + v), v, acceleration, 1e-8, 200)
    assert report.converged
    torch.testing.assert_close(w, v / (1 - column), rtol=1e-7, atol=0)


def test_the_first_value_is_taken_where_the_map_forgets_its_argument() -> None:
    w, report = solve_adjoint(lambda s: Adjoint(V), V, NoAcceleration(), 1e-6, 30)
    assert torch.equal(w, V)
    assert (report.iterations, report.converged, report.residual) == (1, True, (0.0, 0.0, 0.0))


def test_a_solve_that_gets_worse_gives_its_best_value() -> None:
    """Products grow by a factor of two each: the first residual was the least."""
    w, report = solve_adjoint(scaling([2.0]), V[:1], NoAcceleration(), 1e-6, 5)
    assert not report.converged
    torch.testing.assert_close(w, 3 * V[:1])
    assert report.residual == (pytest.approx(2.0),)


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_samples_that_are_not_finite_keep_their_gradient_and_stop_nobody(value: float) -> None:
    v = V.clone()
    v[1, 0] = value
    column = torch.tensor([[0.5], [0.5], [0.9]], dtype=torch.float64)

    def apply(state: Adjoint) -> Adjoint:
        return Adjoint(column * state.w + v)

    w, report = solve_adjoint(apply, v, NoAcceleration(), 1e-8, 400)
    torch.testing.assert_close(w[[0, 2]], (v / (1 - column))[[0, 2]], rtol=1e-7, atol=0)
    assert torch.equal(w[1].isfinite(), v[1].isfinite())
    assert report.iterations < 400
    assert not report.converged


def test_a_gradient_of_zero_needs_no_work_beyond_one_product() -> None:
    zero = torch.zeros(2, 2, dtype=torch.float64)
    calls: list[Tensor] = []

    def apply(state: Adjoint) -> Adjoint:
        calls.append(state.w)
        return Adjoint(0.5 * state.w)

    w, report = solve_adjoint(apply, zero, NoAcceleration(), 1e-6, 30)
    assert not w.any()
    assert (len(calls), report.converged) == (1, True)
