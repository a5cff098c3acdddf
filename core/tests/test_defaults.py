"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.registry import component
from wellposed.stopping import Stop
from wellposed.training import Pace

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("datasets", "measurement-file"): {"key": None, "transpose": None, "reference": None, "reference_key": None},
    ("datasets", "simulated"): {"noise": None, "seed": 0},
    ("gradients", "unrolled"): {"checkpoint": False},
    ("solvers", "iterative"): {"regularizer": None, "stop": None, "acceleration": None, "gradient": None, "init": None},
    ("stopping", "discrepancy"): {"factor": 1.01},
    ("stopping", "duality-gap"): {"tolerance": 0.0001},
    ("stopping", "fixed-point-residual"): {"tolerance": 0.0001},
    ("stopping", "relative-change"): {"tolerance": 0.0001},
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]


def test_defaults_of_a_training_and_of_a_stop() -> None:
    pace = Pace(7)
    assert pace == Pace(7, 1, 1, None, "full", 0, 500, 500, 10, 0)
    assert pace.document() == {
        "steps": 7, "batch": 1, "reuse": 1, "clip": None, "precision": "full", "validation": 0, "seed": 0
    }  # fmt: skip
    assert pace.order(3) == Pace(7, seed=0).order(3)
    stop = Stop()
    assert (stop.iterations, len(stop.rules), stop.every) == (1000, 0, 1)
