"""Fidelities that are smooth for nonnegative predictions alone certify nothing."""

from __future__ import annotations

import pytest
import torch

from wellposed import CompositionError, Problem, Stop, component, solve
from wellposed.stopping import CertifiedAccuracy


@pytest.mark.parametrize("name", ["fista", "proximal-gradient", "gradient-descent"])
def test_descent_on_counts_claims_no_certificate(name: str) -> None:
    """The minimiser is −0.35, where the constant for v ≥ 0 does not hold."""
    operator = component("operators", "identity")((1, 1)).double()
    fidelity = component("fidelities", "kullback-leibler")(background=0.5)
    tikhonov = 1.0 * component("regularizers", "tikhonov")()
    y = torch.full((1, 1, 1, 1), 0.1, dtype=torch.float64)
    problem = Problem(operator, y, fidelity, tikhonov)
    iteration = component("iterations", name)()
    with pytest.raises(CompositionError):
        solve(problem, iteration, stop=Stop(5, [CertifiedAccuracy(1e-6)]))
    assert solve(problem, iteration, stop=Stop(5)).bound is None
