"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("accelerations", "anderson"): {"memory": 5, "mixing": 1.0, "regularization": 1e-08, "safeguard": 2.0},
    ("accelerations", "broyden"): {"memory": 20, "safeguard": 10.0},
    ("gradients", "implicit"): {"tolerance": 1e-06, "iterations": 200, "acceleration": None},
    ("gradients", "phantom"): {"steps": 5, "damping": 0.5},
    ("networks", "contractive-residual"): {
        "layers": 6,
        "width": 32,
        "kernel": 5,
        "in_channels": 1,
        "contraction": 0.999,
        "threshold": 0.001,
        "seed": 0,
    },
    ("solvers", "equilibrium-proximal"): {
        "network": None,
        "fidelity": None,
        "iterations": 100,
        "tolerance": 0.0001,
        "step_size": None,
        "acceleration": None,
        "gradient": None,
    },
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]
