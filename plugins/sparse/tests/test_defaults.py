"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("datasets", "code-file"): {"key": None},
    ("datasets", "sparse-codes"): {"entries": 500, "probability": 0.1, "length": 1000, "seed": 0},
    ("patterns", "gaussian-columns"): {"seed": 0},
    ("solvers", "alista"): {
        "layers": 16,
        "support": 1.2,
        "max_support": 13.0,
        "step": 1.0,
        "threshold": 0.6,
        "threshold_ratio": 0.75,
    },
    ("solvers", "blockwise-linear"): {"block": 33, "rows": 272},
    ("solvers", "ista-net-plus"): {
        "phases": 9,
        "features": 32,
        "channels": 1,
        "initial": None,
        "symmetry_weight": 0.01,
        "tile": None,
        "checkpoint": False,
        "residual_gain": 1.0,
        "seed": 0,
    },
    ("trainers", "layer-wise"): {
        "stage_steps": (50, 150, 50),
        "learning_rates": (0.01, 0.02, 0.002),
        "decay": 1.0,
        "batch": 64,
        "loss": None,
        "clip": None,
        "validation": 0,
        "metrics": (),
        "validate_every": 400,
        "checkpoint_every": 400,
        "log_every": 50,
        "seed": 0,
    },
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]
