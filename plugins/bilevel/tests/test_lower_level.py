"""Certified solves: the bound holds in a thousand random ones, work is counted per image, starts are used."""

from __future__ import annotations

import math

import pytest
import torch
from bilevel_doubles import Identity, Nesterov, Quadratic, Smoothed, denoiser

from wellposed import InputError, Iteration, Problem
from wellposed.registry import component
from wellposed.space import norm
from wellposed.testing.doubles import QuadraticFidelity
from wellposed_bilevel.lower_level import Demand, solve_lower


def iteration(name: str) -> Iteration:
    """The test double, or a registered iteration where its plugin is installed."""
    if name == "double":
        return Nesterov()
    try:
        return component("iterations", name)()
    except InputError:
        pytest.skip(f"no plugin here registers {name}")


def problems(count: int, batch: int, generator: torch.Generator) -> list[Problem]:
    """Random piecewise constant signals with noise, random α, ν, ξ of conditions up to about 10³."""
    operator, found = Identity(32), []
    for _ in range(count):
        jumps = torch.randn(batch, 1, 32, generator=generator, dtype=torch.float64)
        jumps *= torch.rand(batch, 1, 32, generator=generator) < 0.1
        y = jumps.cumsum(-1) + 0.2 * torch.randn(batch, 1, 32, generator=generator, dtype=torch.float64)
        alpha, nu, xi = (10 ** (a + b * float(torch.rand(1, generator=generator))) for a, b in EXPONENTS)
        found.append(Problem(operator, y, QuadraticFidelity(), Smoothed(alpha, nu, xi)))
    return found


EXPONENTS = ((-2.0, 2.0), (-2.0, 1.5), (-4.0, 4.0))


@pytest.mark.parametrize("name", ["double", "fista", "gradient-descent"])
def test_the_certified_bound_is_never_violated_in_a_thousand_random_solves(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    solved = 0
    for problem in problems(25, 40, generator):
        reference = solve_lower(denoiser(problem.regularizer, 100_000), problem, Demand(1e-10), None)
        assert reference.attained
        accuracy = 10 ** (-3.5 + 3 * float(torch.rand(1, generator=generator)))
        lower = solve_lower(
            denoiser(problem.regularizer, 1000, iteration(name)), problem, Demand(accuracy), problem.measurement
        )
        distance = norm(lower.x - reference.x)
        bound = torch.tensor(lower.bounds, dtype=torch.float64)
        assert bool((distance <= bound + 1e-10).all())
        assert lower.attained == bool((bound <= accuracy).all())
        solved += problem.batch
    assert solved == 1000


def test_work_is_counted_per_image_and_done_images_rest() -> None:
    regularizer = Quadratic(1.0)
    y = torch.tensor([1e-6, 1.0, 1e6], dtype=torch.float64).reshape(3, 1, 1).expand(3, 1, 32).clone()
    problem = Problem(Identity(32), y, QuadraticFidelity(), Smoothed(0.1, 0.1, 0.1))
    together = solve_lower(denoiser(regularizer), problem, Demand(1e-4), None)
    alone = [
        solve_lower(denoiser(regularizer), problem.take(torch.tensor([i])), Demand(1e-4), None).iterations
        for i in range(3)
    ]
    assert together.iterations == sum(alone)
    assert len(set(alone)) > 1


def test_a_warm_start_saves_work_and_is_not_changed() -> None:
    problem = problems(1, 5, torch.Generator().manual_seed(1))[0]
    solver = denoiser(problem.regularizer)
    cold = solve_lower(solver, problem, Demand(1e-6), None)
    start = cold.x.clone()
    warm = solve_lower(solver, problem, Demand(1e-6), start)
    assert warm.iterations < cold.iterations / 5
    assert torch.equal(start, cold.x)


def test_a_fixed_number_of_iterations_is_done_and_an_unmet_accuracy_is_loud() -> None:
    problem = problems(1, 4, torch.Generator().manual_seed(2))[0]
    fixed = solve_lower(denoiser(problem.regularizer), problem, Demand(iterations=17), None)
    assert fixed.iterations == 4 * 17
    assert fixed.attained
    short = solve_lower(denoiser(problem.regularizer, 3), problem, Demand(1e-9), None)
    assert not short.attained
    assert all(math.isfinite(b) and b > 1e-9 for b in short.bounds)


def test_one_image_that_misses_its_accuracy_is_enough_to_say_so() -> None:
    """The second signal is at its solution from the start; the first needs more steps than there are."""
    y = torch.zeros(2, 1, 32, dtype=torch.float64)
    y[0] = torch.randn(1, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    regularizer = Smoothed(1.0, 1e-3, 1e-3)
    problem = Problem(Identity(32), y, QuadraticFidelity(), regularizer)
    short = solve_lower(denoiser(regularizer, 3), problem, Demand(1e-3), None)
    assert not short.attained
    assert short.bounds[1] <= 1e-3 < short.bounds[0]
    assert solve_lower(denoiser(regularizer), problem, Demand(1e-3), None).attained
