"""Constants that hold for nonnegative predictions alone set no default step and certify nothing."""

from __future__ import annotations

import pytest
import torch

from wellposed import CompositionError, Problem, Stop, component, solve
from wellposed.stopping import CertifiedAccuracy

NAMES = ["fista", "proximal-gradient", "gradient-descent", "stochastic-gradient", "conjugate-gradient"]


def problem(counts: float) -> Problem:
    """With 0.1 counts the minimiser is −0.35, where the constant for v ≥ 0 does not hold."""
    operator = component("operators", "identity")((1, 2)).double()
    fidelity = component("fidelities", "kullback-leibler")(background=0.5)
    y = torch.full((1, 1, 1, 2), counts, dtype=torch.float64)
    return Problem(operator, y, fidelity, 1.0 * component("regularizers", "tikhonov")())


@pytest.mark.parametrize("counts", [0.1, 0.0])
@pytest.mark.parametrize("name", NAMES)
def test_no_default_step_on_counts(name: str, counts: float) -> None:
    """Without a count the gradient is constant and both constants are zero, wherever it exists."""
    options = {"blocks": 1} if name == "stochastic-gradient" else {}
    with pytest.raises(CompositionError, match=r"predictions ≥ 0 alone|squared distance"):
        solve(problem(counts), component("iterations", name)(**options), stop=Stop(5))


@pytest.mark.parametrize("name", ["landweber", "linearized-bregman"])
def test_methods_of_other_regularizers_have_none_either(name: str) -> None:
    posed = problem(0.1)
    regularizer = component("regularizers", "box")(0.0) if name == "landweber" else component("regularizers", "l1")()
    bare = Problem(posed.operator, posed.measurement, posed.fidelity, regularizer)
    with pytest.raises(CompositionError, match="predictions ≥ 0 alone"):
        component("iterations", name)().check(bare)


@pytest.mark.parametrize("name", ["fista", "proximal-gradient", "gradient-descent"])
def test_a_given_step_descends_and_certifies_nothing(name: str) -> None:
    iteration = component("iterations", name)(step_size=0.02)
    with pytest.raises(CompositionError):
        solve(problem(0.1), iteration, stop=Stop(5, [CertifiedAccuracy(1e-6)]))
    solution = solve(problem(0.1), iteration, stop=Stop(2000))
    root = (-1.5 + (1.5**2 - 4 * (0.5 - 0.1)) ** 0.5) / 2  # (u − y)/u + x = 0 with u = x + 0.5
    assert solution.bound is None
    torch.testing.assert_close(solution.x, torch.full_like(solution.x, root))


def test_proximal_methods_solve_it() -> None:
    posed = problem(0.1)
    for name in ("pdhg", "admm"):
        solution = solve(posed, component("iterations", name)(), stop=Stop(2000))
        root = (-1.5 + (1.5**2 - 4 * (0.5 - 0.1)) ** 0.5) / 2
        torch.testing.assert_close(solution.x, torch.full_like(solution.x, root), atol=1e-6, rtol=0)
