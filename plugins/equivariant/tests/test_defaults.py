"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("networks", "cyclic-proximal-network"): {
        "in_channels": 1,
        "out_channels": 1,
        "order": 4,
        "fields": 24,
        "blocks": 1,
        "kernel_size": 3,
        "padding_mode": "replicate",
        "seed": 0,
    },
    ("networks", "escnn-proximal-network"): {
        "in_channels": 1,
        "out_channels": 1,
        "order": 4,
        "fields": 24,
        "blocks": 1,
        "kernel_size": 3,
        "padding_mode": "replicate",
        "seed": 0,
    },
    ("networks", "proximal-network"): {
        "in_channels": 1,
        "out_channels": 1,
        "width": 96,
        "blocks": 1,
        "kernel_size": 3,
        "padding_mode": "replicate",
        "seed": 0,
    },
    ("solvers", "equivariant-proximal-gradient"): {
        "steps": 8,
        "memory": 5,
        "image_channels": 1,
        "network": None,
        "fidelity": None,
        "init": None,
        "checkpoint": False,
        "seed": 0,
    },
    ("solvers", "learned-proximal-gradient"): {
        "steps": 8,
        "memory": 5,
        "image_channels": 1,
        "network": None,
        "fidelity": None,
        "init": None,
        "checkpoint": False,
        "seed": 0,
    },
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]
