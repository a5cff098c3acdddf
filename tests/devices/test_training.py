"""Trainers whose target lives on a second device and whose data do not, as Python users write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from devices.marked import DEVICE, second_device
from torch import Tensor, nn

from wellposed.dataset import Dataset, Simulated
from wellposed.recipes import build
from wellposed.testing.doubles import Bumps

SCAN = {"use": "parallel-beam", "shape": [8, 8], "angles": 6}
MATRIX = {
    "use": "matrix",
    "domain_shape": [1, 20],
    "range_shape": [10],
    "matrix": {"use": "gaussian-columns", "seed": 0},
}
BLOCKS = {"use": "block-compressed-sensing", "shape": [8, 8], "block": 4, "ratio": 0.5}
PACE = {"steps": 4, "batch": 2, "metrics": ["mean-squared-error"], "validation": 2, "validate_every": 2}
CODES = {"use": "sparse-codes", "entries": 20, "length": 16}


def scans() -> Dataset:
    return Simulated(Bumps(8), build("operators", SCAN))


TASKS: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[], Dataset]]] = {
    "supervised": ({"use": "supervised", **PACE}, {"use": "learned-primal-dual", "steps": 2, "width": 4}, scans),
    "fitted to the data first": (
        {"use": "supervised", **PACE},
        {"use": "ista-net-plus", "phases": 1, "initial": {"use": "blockwise-linear", "block": 4, "rows": 8}},
        lambda: Simulated(Bumps(8), build("operators", BLOCKS)),
    ),
    "layer-wise": (
        {"use": "layer-wise", "stage_steps": [2, 2, 2], "learning_rates": [1e-2, 1e-2, 1e-3], "batch": 2},
        {"use": "alista", "layers": 2},
        lambda: Simulated(build("datasets", CODES), build("operators", MATRIX)),
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_samples_are_brought_to_the_target(name: str, tmp_path: Path) -> None:
    trainer, solver, data = TASKS[name]

    def trained(device: torch.device, folder: Path) -> dict[str, Tensor]:
        torch.manual_seed(0)
        target: nn.Module = build("solvers", solver).to(device)
        own = data()
        build("trainers", trainer).fit(target, own, folder)
        measured = own[0]
        assert measured.measurement is not None
        assert measured.measurement.device.type == "cpu", "the training moved the data of its caller"
        return {key: value.cpu() for key, value in target.state_dict().items()}

    here = trained(torch.device("cpu"), tmp_path / "here")
    with second_device():
        there = trained(DEVICE, tmp_path / "there")
    for key, value in here.items():
        assert torch.allclose(there[key], value, rtol=1e-3, atol=1e-3), key
