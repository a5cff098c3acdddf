"""Every registered component on a second device: it computes there what it computes here, and stays there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from devices.exercises import EXERCISES
from devices.marked import DEVICE, second_device
from torch import Tensor, nn

from wellposed.recipes import build
from wellposed.registry import registry
from wellposed.testing.measure import bump
from wellposed.testing.subject import Subject

#: Inner solvers without Numba, scans by gathering, and second examples of what is dear, take seconds here.
SLOW = {
    "iterations/variable-projection.1",
    "networks/diffusion.0",
    "networks/escnn-proximal-network.0",
    "operators/beer-lambert.0",
    "operators/convolution.1",
    "operators/convolution.2",
    "operators/emission.1",
    "regularizers/generative-gaussian.0",
    "regularizers/generative-gaussian.1",
    "regularizers/generative-gaussian.2",
    "solvers/diffpir.0",
    "solvers/equilibrium-proximal.1",
    "solvers/ista-net-plus.1",
    *(f"regularizers/total-variation.{i}" for i in range(3)),
    "regularizers/total-generalized-variation.0",
    *(f"operators/{beam}-beam.{i}" for beam in ("fan", "parallel") for i in (0, 1, 3)),
}


def subjects() -> Iterator[Any]:
    for entry in registry().entries():
        for i, arguments in enumerate(entry.load().examples() if entry.kind in EXERCISES else ()):
            name = f"{entry.kind}/{entry.name}.{i}"
            subject = Subject(entry.kind, entry.load(), arguments, entry.name)
            yield pytest.param(subject, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.mark.parametrize("subject", list(subjects()))
def test_component(subject: Subject) -> None:
    exercise = EXERCISES[subject.kind]
    torch.manual_seed(0)
    here = list(exercise(subject, lambda thing: thing))
    torch.manual_seed(0)
    with second_device():
        there = list(exercise(subject, _moved))
        for (name, expected), (_, value) in zip(here, there, strict=True):
            _same(f"{subject}: {name}", expected, value)


def _moved(thing: Any) -> Any:
    return thing.to(DEVICE) if isinstance(thing, Tensor | nn.Module) else thing


def _same(what: str, expected: Any, value: Any) -> None:
    if isinstance(expected, Tensor):
        assert value.device.type == DEVICE.type, f"{what} is on {value.device}"
        assert torch.allclose(value.detach().cpu(), expected.detach(), rtol=1e-7, atol=1e-9, equal_nan=True), what
    else:
        assert value == pytest.approx(expected), what


@pytest.mark.parametrize("estimate", ["espirit", "smooth_maps"])
def test_coil_maps_are_estimated_there(estimate: str) -> None:
    """An operator that gets its maps from measurements, which no example shows."""
    find = partial(getattr(import_module("wellposed_physics.mri.sensitivities"), estimate), calibration=12)
    maps = {"use": "birdcage", "coils": 4}
    lines = {"use": "cartesian-mask", "acceleration": 2.0, "center_fraction": 0.5}
    shape = {"use": "multicoil-fourier", "shape": [24, 24]}
    known = build("operators", {**shape, "mask": lines, "sensitivities": maps}).double()
    y = known(bump(known.domain, 2).to(torch.complex128))
    operator = build("operators", {**shape, "mask": lines, "coils": 4}).double()
    here = operator.calibrated(y, find).pinv(y)
    with second_device():
        there = operator.to(DEVICE).calibrated(y.to(DEVICE), find)
        _same(estimate, here, there.pinv(y.to(DEVICE)))
        index = torch.tensor([1], device=DEVICE)
        _same(f"{estimate} of one sample", here[1:], there.take(index).pinv(y.to(DEVICE)[index]))
