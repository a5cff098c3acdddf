"""Every iteration with every problem that fits, on a second device: linear and not, real and complex."""

from __future__ import annotations

import pytest
import torch
from devices.counting import OPERATORS, on_device, problems_for
from devices.marked import second_device
from torch import Tensor

from wellposed import Problem, Solution, Stop, solve
from wellposed.iteration import Iteration
from wellposed.recipes.builder import construct
from wellposed.registry import component, registry
from wellposed.stopping import RelativeChange


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", [entry.name for entry in registry().entries("iterations")])
def test_iteration(name: str, operator: str) -> None:
    cls = component("iterations", name)
    for arguments in cls.examples():
        iteration = construct(cls, arguments).double()
        for what, problem in problems_for(iteration, operator):
            here = _solved(problem, iteration)
            with second_device():
                there = _solved(on_device(problem), iteration)
                assert there.verdict == here.verdict, what
                _same(there.x, here.x, what)
                if here.bound is not None:
                    assert there.bound is not None
                    _same(there.bound, here.bound, what)


def _solved(problem: Problem, iteration: Iteration) -> Solution:
    return solve(problem, iteration, stop=Stop(4, [RelativeChange(1e-12)], every=2))


def _same(there: Tensor, here: Tensor, what: str) -> None:
    assert there.device.type != "cpu", what
    assert torch.allclose(there.detach().cpu(), here.detach(), rtol=1e-6, atol=1e-8, equal_nan=True), what
