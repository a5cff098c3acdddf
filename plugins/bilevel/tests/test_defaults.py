"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("datasets", "indicator-signals"): {"count": 20, "pixels": 256, "seed": 0},
    ("trainers", "bilevel-dfo"): {
        "accuracy": None,
        "evaluations": 100,
        "work": None,
        "penalty": None,
        "initial_radius": 0.1,
        "final_radius": 1e-06,
    },
    ("trainers", "bilevel-implicit"): {
        "tolerance": 0.0001,
        "linear_tolerance": 1e-06,
        "linear_limit": 2000,
        "evaluations": 100,
        "work": None,
        "penalty": None,
    },
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]
