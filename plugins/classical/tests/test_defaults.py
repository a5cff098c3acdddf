"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.recipes import build
from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("regularizers", "box"): {"lower": None, "upper": None},
    ("regularizers", "compose"): {"orthonormal_rows": False},
    ("regularizers", "smoothed-total-variation"): {"nu": 0.001, "xi": 0.001},
    ("regularizers", "tikhonov"): {"operator": "identity"},
    ("regularizers", "total-generalized-variation"): {"ratio": 2.0, "tolerance": 0.001, "limit": 2000},
    ("regularizers", "total-variation"): {
        "norm": "isotropic",
        "channels": "separate",
        "tolerance": 1e-05,
        "limit": 2000,
    },
    ("regularizers", "wavelet-l1"): {"wavelet": "db4", "levels": 3, "approximation": False},
    ("solvers", "filtered-backprojection"): {"filter": "ram-lak", "cutoff": 1.0},
    ("solvers", "truncated-svd"): {"rank": None, "threshold": 1e-06},
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]


@pytest.mark.parametrize(
    ("kind", "node", "text"),
    [
        ("regularizers", {"use": "box", "lower": 0.0, "upper": 2.0}, "Box(lower=0, upper=2)"),
        ("regularizers", "nonnegativity", "Nonnegativity()"),
        ("regularizers", {"use": "huber", "delta": 0.5}, "Huber(delta=0.5)"),
        ("regularizers", "tikhonov", "Tikhonov(identity)"),
        ("regularizers", "smoothed-total-variation", "nu=0.001, xi=0.001\n"),
        ("regularizers", "total-variation", "norm=isotropic, channels=separate, tolerance=1e-05, limit=2000"),
        ("regularizers", "total-generalized-variation", "ratio=2, tolerance=0.001, limit=2000"),
        ("regularizers", "wavelet-l1", "Wavelet(wavelet=db4, levels=3)"),
        ("regularizers", {"use": "total-variation", "weight": 0.5}, "weight=0.5\n"),
    ],
)
def test_a_component_prints_its_numbers(kind: str, node: Any, text: str) -> None:
    assert text in repr(build(kind, node))
