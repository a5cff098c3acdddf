"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("networks", "unet"): {"in_channels": 1, "out_channels": 1, "width": 32, "scales": 4, "groups": 8, "seed": 0},
    ("solvers", "learned-primal-dual"): {
        "steps": 10,
        "memory": 5,
        "width": 32,
        "image_channels": 1,
        "measurement_channels": 1,
        "checkpoint": False,
        "seed": 0,
    },
    ("solvers", "post-processing"): {"initial": None},
    ("trainers", "supervised"): {
        "batch": 1,
        "reuse": 1,
        "loss": None,
        "learning_rate": 0.001,
        "final_learning_rate": 0.0,
        "betas": (0.9, 0.999),
        "clip": None,
        "precision": "full",
        "validation": 0,
        "metrics": (),
        "validate_every": 500,
        "checkpoint_every": 500,
        "log_every": 10,
        "seed": 0,
    },
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]
