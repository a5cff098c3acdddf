"""The composition matrix: every registered iteration with every regularizer and every way to differentiate.

On two operators each cell either runs and comes nearer to what it solves, or is refused before any work with a sentence
that names iterations which fit; those are then taken at their word.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from wellposed import CompositionError, InputError, Iterative, Operator, Problem, Regularizer, Stop
from wellposed.driver import check_composition
from wellposed.recipes import build
from wellposed.recipes.builder import construct
from wellposed.registry import component, registry

ITERATIONS = sorted(entry.name for entry in registry().entries("iterations"))
#: Those whose every value is an optimisation of its own.
COSTLY = {"total-generalized-variation"}
REGULARIZERS = [
    pytest.param(entry.name, marks=pytest.mark.slow) if entry.name in COSTLY else entry.name
    for entry in registry().entries("regularizers")
]
#: No tape, the tape of every step, and the derivative of the fixed point.
GRADIENTS: dict[str, dict[str, Any]] = {"none": {}, "unrolled": {}, "implicit": {"iterations": 8}}
OPERATORS: dict[str, dict[str, Any]] = {
    "tomography": {"use": "parallel-beam", "shape": [16, 16], "angles": 8},
    "blur": {"use": "convolution", "shape": [16, 16], "kernel": {"use": "gaussian-kernel", "sigma": 0.8}},
}
STEPS = 8


@cache
def operator(name: str) -> Operator:
    return build("operators", OPERATORS[name]).double()


@cache
def measurement(name: str) -> Tensor:
    x = torch.zeros(2, 1, 16, 16, dtype=torch.float64)
    x[0, :, 4:11, 5:12] = 1.0
    x[1, :, 8:13, 3:9] = 0.5
    noise = torch.randn(operator(name)(x).shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return operator(name)(x) + 0.01 * noise


def regularizer(name: str) -> Regularizer:
    """As its first example builds it, with a small weight where it takes one."""
    cls = component("regularizers", name)
    built = construct(cls, next(iter(cls.examples()), {})).double()
    try:
        return 0.01 * built
    except InputError:  # how much a learned proximal map smooths is trained
        return built


def first_example(name: str) -> dict[str, Any]:
    return dict(min(component("iterations", name).examples(), key=len, default={}))


@pytest.mark.parametrize("where", OPERATORS)
@pytest.mark.parametrize("how", GRADIENTS)
@pytest.mark.parametrize("prior", REGULARIZERS)
@pytest.mark.parametrize("name", ITERATIONS)
def test_cell(name: str, prior: str, how: str, where: str) -> None:
    solver = Iterative(
        construct(component("iterations", name), first_example(name)),
        component("fidelities", "l2")(),
        regularizer(prior),
        Stop(STEPS),
        gradient=construct(component("gradients", how), GRADIENTS[how]),
    ).double()
    problem = solver.pose(measurement(where).clone().requires_grad_(), operator(where))
    refusal = _refusal(solver, problem)
    if refusal is None:
        _assert_progress(solver, problem)
        return
    fitting = re.search(r"Iterations that fit: (.+)", refusal)
    assert fitting is not None, f"the refusal names no alternative: {refusal}"
    _take_at_their_word(fitting.group(1), solver, problem)


def _refusal(solver: Iterative, problem: Problem) -> str | None:
    try:
        solver.check(problem)
    except CompositionError as error:
        return str(error)
    return None


def _take_at_their_word(names: str, solver: Iterative, problem: Problem) -> None:
    """Each alternative composes with everything else of the cell."""
    if names == "none that is installed":
        return
    for text in re.findall(r"[\w-]+(?: \([^)]*\))?", names):
        alternative, _, arguments = text.partition(" (")
        node = {"use": alternative, **build_arguments(arguments.rstrip(")"))}
        check_composition(problem, build("iterations", node), solver.stop, solver.acceleration, solver.gradient)


def build_arguments(text: str) -> dict[str, Any]:
    import yaml

    return yaml.safe_load("{" + text + "}") or {}


def _assert_progress(solver: Iterative, problem: Problem) -> None:
    x = solver.solve(problem).x
    assert bool(torch.isfinite(x).all())
    start = problem.zeros()
    if solver.iteration.solves == "objective" and "value" in solver.regularizer.capabilities:
        after, before = problem.objective(x), problem.objective(start)
    else:
        after, before = (problem.fidelity(problem.operator(u), problem.measurement) for u in (x, start))
    assert bool((after < before).all()), f"{before.tolist()} → {after.tolist()}"
    if not isinstance(solver.gradient, component("gradients", "none")):
        (gradient,) = torch.autograd.grad(x.square().sum(), problem.measurement)
        assert bool(torch.isfinite(gradient).all())
        assert bool(gradient.flatten(1).any(1).all())
