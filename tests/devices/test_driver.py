"""The driver on a second device: samples that finish early, that are lost and that were never sound."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from devices.exercises import Move, move_problem
from devices.marked import DEVICE, Marked, second_device
from torch import Tensor

from wellposed import InputError, Problem, Solution, Stop, Verdict, solve
from wellposed.recipes.builder import construct
from wellposed.registry import component, registry
from wellposed.stopping import CertifiedAccuracy, RelativeChange
from wellposed.testing.doubles import DenseOperator, GradientStep, QuadraticFidelity, QuadraticRegularizer
from wellposed.testing.problems import least_squares, matrix

Run = Callable[[Move], Solution]


def there(thing: Any) -> Any:
    return thing.to(DEVICE)


def same_on_both(run: Run) -> Solution:
    """The solution here, after it was found to be that on the device."""
    here = run(lambda thing: thing)
    with second_device():
        far = run(there)
        assert isinstance(far.x, Marked)
        assert torch.allclose(far.x.detach().cpu(), here.x.detach(), rtol=1e-9, atol=1e-12)
        if here.bound is not None:
            assert torch.allclose(far.bound.cpu(), here.bound, rtol=1e-6)
    assert far.verdict == here.verdict
    assert far.iterations == here.iterations
    assert far.history.keys() == here.history.keys()
    for name, records in here.history.items():
        for (count, expected), (found_count, found) in zip(records, far.history[name], strict=True):
            assert found_count == count
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True)
    return here


def uneven(move: Move) -> Problem:
    """Three samples, of which each needs some steps more than the one before."""
    problem = least_squares(QuadraticRegularizer()).problem
    scale = torch.tensor([1e-3, 1.0, 1e3], dtype=torch.float64)[:, None]
    return move_problem(
        Problem(problem.operator, problem.measurement * scale, problem.fidelity, problem.regularizer), move
    )


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("name", [entry.name for entry in registry().entries("accelerations")])
def test_samples_finish_one_after_the_other(name: str, every: int) -> None:
    cls = component("accelerations", name)

    def run(move: Move) -> Solution:
        problem = uneven(move)
        accelerated = construct(cls, next(iter(cls.examples()), {}))
        seen: list[int] = []
        solution = solve(
            problem,
            GradientStep(),
            stop=Stop(200, [CertifiedAccuracy(1e-3)], every),
            acceleration=move(accelerated),
            monitors={"objective": lambda progress: progress.problem.objective(progress.x)},
            observer=lambda progress: seen.append(progress.problem.batch),
        )
        assert sorted(set(seen), reverse=True) == [3, 2, 1]
        return solution

    assert len(set(same_on_both(run).iterations)) == 3


def test_an_accuracy_of_each_sample() -> None:
    """Asked for on the CPU, as users write it."""
    accuracy = torch.tensor([1.0, 1e-2, 1e-5], dtype=torch.float64)

    def run(move: Move) -> Solution:
        problem = move_problem(least_squares(QuadraticRegularizer()).problem, move)
        return solve(problem, GradientStep(), stop=Stop(500, [CertifiedAccuracy(accuracy)]))

    assert same_on_both(run).verdict == (Verdict.CERTIFIED,) * 3


def test_lost_and_unsound_samples() -> None:
    """One measurement is not a number, one sample diverges, one goes on to the limit."""

    def run(move: Move) -> Solution:
        problem = move_problem(least_squares(QuadraticRegularizer()).problem, move)
        y = problem.measurement.clone()
        y[0, 0] = math.nan
        y[1] = y[1] * 1e307
        problem = Problem(problem.operator, y, problem.fidelity, problem.regularizer)
        return solve(problem, _Exploding(), stop=Stop(12, [RelativeChange(1e-12)], 2))

    verdicts = same_on_both(run).verdict
    assert verdicts == (Verdict.NON_FINITE_MEASUREMENT, Verdict.DIVERGED, Verdict.ITERATION_LIMIT)


class _Exploding(GradientStep):
    """Doubles its image at every step, besides."""

    def step(self, problem: Problem, state: Any) -> Any:
        return type(state)(2 * super().step(problem, state).x)


def test_a_start_image_and_no_step() -> None:
    def run(move: Move) -> Solution:
        problem = move_problem(least_squares(QuadraticRegularizer()).problem, move)
        return solve(problem, GradientStep(), stop=Stop(0), init=problem.zeros() + 1)

    same_on_both(run)


def test_the_derivative_of_samples_that_finished_early() -> None:
    def run(move: Move) -> Solution:
        problem = uneven(move)
        y = problem.measurement.clone().requires_grad_()
        posed = Problem(problem.operator, y, problem.fidelity, problem.regularizer)
        stop = Stop(100, [CertifiedAccuracy(1e-2)], every=3)
        solution = solve(posed, GradientStep(), stop=stop, gradient=component("gradients", "unrolled")())
        (gradient,) = torch.autograd.grad(solution.x.square().sum(), y)
        return Solution(gradient, solution.verdict, solution.iterations, solution.history)

    same_on_both(run)


def test_a_checkpointed_step_runs_again() -> None:
    def run(move: Move) -> Solution:
        problem = uneven(move)
        y = problem.measurement.clone().requires_grad_()
        posed = Problem(problem.operator, y, problem.fidelity, problem.regularizer)
        gradient = component("gradients", "unrolled")(checkpoint=True)
        solution = solve(posed, GradientStep(), stop=Stop(20, [CertifiedAccuracy(1e-1)]), gradient=gradient)
        (found,) = torch.autograd.grad(solution.x.square().sum(), y)
        return Solution(found, solution.verdict, solution.iterations, solution.history)

    same_on_both(run)


def test_devices_that_do_not_fit_are_told_apart() -> None:
    """A measurement here and an operator there is the user's slip: a sentence, not a failure deep inside."""
    operator = DenseOperator.from_tensor(matrix(), (1, 4, 4))
    y: Tensor = operator(torch.ones(1, 1, 4, 4, dtype=torch.float64))
    with second_device(), pytest.raises(InputError, match=r"move one of them with \.to\(device\)"):
        Problem(operator.to(DEVICE), y, QuadraticFidelity())
