"""Between two measuring points of the rules no iteration waits for the device.

`pytest -m slow -s tests/devices/test_waits.py` prints how often each does, with every fidelity and regularizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from devices.counting import (
    Row,
    at_a_measuring_point,
    between_measuring_points,
    of_a_training_step,
    on_device,
    plain,
    problems_for,
    scan,
    table,
)
from devices.marked import second_device

from wellposed import Problem
from wellposed.iteration import Iteration
from wellposed.recipes.builder import construct
from wellposed.registry import component, registry
from wellposed.testing.doubles import GradientStep, QuadraticRegularizer
from wellposed.testing.iterations import problem_for
from wellposed.testing.problems import least_squares
from wellposed.testing.subject import Subject

#: Iterations that still wait, and where.
CONJUGATE_GRADIENT = "core/src/wellposed/linear_algebra.py, conjugate_gradient: looks at its residuals at every step"
LINE_SEARCH = f"a line search decides by values; {CONJUGATE_GRADIENT}"
WAITING = {
    "admm.0": CONJUGATE_GRADIENT,
    "admm.1": f"{CONJUGATE_GRADIENT}; iterations/constants.py, samples: brings the penalty at every step",
    "variable-projection.0": LINE_SEARCH,
    "variable-projection.1": LINE_SEARCH,
}
#: Regularizers whose proximal maps were found to wait once.
PRIORS = ("wavelet-l1", "learned-proximal")


def subjects() -> Iterator[Any]:
    for entry in registry().entries("iterations"):
        for i, arguments in enumerate(entry.load().examples()):
            name = f"{entry.name}.{i}"
            reason = WAITING.get(name)
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)]
            if reason is not None and i > 0:  # of each that waits one is enough to tell when it no longer does
                marks.append(pytest.mark.slow)
            yield pytest.param(Subject("iterations", entry.load(), arguments, entry.name), id=name, marks=marks)


def assert_does_not_wait(row: Row) -> None:
    assert not row.waits, f"{row.what} waits for the device in every step:\n{table([row])}"


@pytest.mark.parametrize("subject", list(subjects()))
def test_an_iteration_does_not_wait(subject: Subject) -> None:
    iteration = subject.build()
    problem: Problem = problem_for(iteration)
    with second_device() as log:
        assert_does_not_wait(between_measuring_points(str(subject), log, on_device(problem), iteration))


@pytest.mark.parametrize("name", [entry.name for entry in registry().entries("accelerations")])
def test_an_acceleration_does_not_wait(name: str) -> None:
    with second_device() as log:
        problem = on_device(least_squares(QuadraticRegularizer()).problem)
        acceleration = plain("accelerations", name)
        row = between_measuring_points(name, log, problem, GradientStep(), acceleration=acceleration)
        assert_does_not_wait(row)


@pytest.mark.parametrize("prior", PRIORS)
def test_a_proximal_map_does_not_wait(prior: str) -> None:
    iteration = component("iterations", "proximal-gradient")()
    with second_device() as log:
        problem = on_device(scan("l2", prior))
        assert_does_not_wait(between_measuring_points(prior, log, problem, iteration))


@pytest.mark.slow
@pytest.mark.parametrize("name", [entry.name for entry in registry().entries("iterations")])
def test_table_of_an_iteration(name: str) -> None:
    cls = component("iterations", name)
    with second_device() as log:
        rows = list(_rows(lambda arguments: construct(cls, arguments).double(), cls.examples(), log))
    print(f"\n{name}: waits for the device in each step between two measuring points\n{table(rows)}")


def _rows(make: Callable[[dict], Iteration], examples: tuple[dict, ...], log: Any) -> Iterator[Row]:
    for arguments in examples:
        iteration = make(arguments)
        for what, problem in problems_for(iteration):
            yield between_measuring_points(f"{what} {arguments or ''}", log, on_device(problem), iteration)


@pytest.mark.slow
def test_table_of_measuring_points_and_training() -> None:
    rows = []
    with second_device() as log:
        for entry in registry().entries("stopping"):
            rows.append(at_a_measuring_point(f"measured by {entry.name}", log, plain("stopping", entry.name)))
        rows.append(of_a_training_step(log, lambda: component("solvers", "learned-primal-dual")(steps=2, width=4)))
    print(f"\nwaits for the device at a measuring point, and in a training step\n{table(rows)}")
