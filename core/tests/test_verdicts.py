"""Runs that went wrong without breaking down say so: objectives that rose, steps that collapsed."""

from __future__ import annotations

import pytest
import torch

from wellposed import Iteration, Problem, Stop, Verdict, component, solve
from wellposed.errors import SolveFailed
from wellposed.gradient import Unrolled
from wellposed.stopping import CertifiedAccuracy, FixedPointResidual, RelativeChange
from wellposed.testing.doubles import DenseOperator, QuadraticFidelity, QuadraticRegularizer

GENTLE = 1e-30


def posed(factor: float = 0.1, scale: float = 1.0) -> Problem:
    generator = torch.Generator().manual_seed(0)
    operator = DenseOperator.from_tensor(torch.randn(6, 4, generator=generator, dtype=torch.float64), (1, 2, 2))
    y = scale * torch.randn(3, 6, generator=generator, dtype=torch.float64)
    return Problem(operator, y, QuadraticFidelity(), QuadraticRegularizer(factor))


def iteration(name: str, **arguments: object) -> Iteration:
    return component("iterations", name)(**arguments)


@pytest.mark.parametrize("name", ["gradient-descent", "proximal-gradient"])
def test_an_objective_that_rose_is_no_success(name: str) -> None:
    problem = posed()
    too_long = 2.2 / problem.operator.norm() ** 2
    solution = solve(problem, iteration(name, step_size=too_long), stop=Stop(60))
    assert set(solution.verdict) == {Verdict.OBJECTIVE_ROSE}
    assert not Verdict.OBJECTIVE_ROSE.ok
    with pytest.raises(SolveFailed, match="higher than at the start image"):
        solution.require()


def test_the_samples_of_a_batch_are_judged_apart() -> None:
    problem = posed()
    length = problem.operator.norm() ** 2
    steps = torch.tensor([1.0, 2.2, 1.0], dtype=torch.float64) / length
    solution = solve(problem, iteration("gradient-descent", step_size=steps), stop=Stop(60))
    assert solution.verdict == (Verdict.COMPLETED, Verdict.OBJECTIVE_ROSE, Verdict.COMPLETED)


@pytest.mark.parametrize("rule", [None, RelativeChange(1e-4), FixedPointResidual(1e-4)])
@pytest.mark.parametrize("name", ["gradient-descent", "proximal-gradient"])
def test_a_step_too_short_to_move_the_image_is_no_success(name: str, rule: RelativeChange | None) -> None:
    problem = posed()
    start = torch.ones(3, 1, 2, 2, dtype=torch.float64)
    stop = Stop(20, [] if rule is None else [rule])
    solution = solve(problem, iteration(name, step_size=GENTLE), stop=stop, init=start)
    assert set(solution.verdict) == {Verdict.STALLED}
    assert "step size is too small" in Verdict.STALLED.value


@pytest.mark.parametrize(("name", "argument"), [("pdhg", "primal_step"), ("admm", "penalty")])
@pytest.mark.parametrize("value", [1e-30, 1e30])
def test_a_collapsed_balance_is_no_success(name: str, argument: str, value: float) -> None:
    problem = posed()
    prior = 0.1 * component("regularizers", "total-variation")()
    problem = Problem(problem.operator, problem.measurement, problem.fidelity, prior)
    start = torch.linspace(0, 1, 12, dtype=torch.float64).reshape(3, 1, 2, 2)
    before = solve(problem, iteration(name, **{argument: value}), stop=Stop(49), init=start)
    solution = solve(problem, iteration(name, **{argument: value}), stop=Stop(50), init=start)
    reached = solve(problem, iteration(name), stop=Stop(400), init=start)
    assert set(reached.verdict) == {Verdict.COMPLETED}
    still = (solution.x - before.x).flatten(1).norm(dim=1) <= 1e-15
    wrong = (solution.x - reached.x).flatten(1).norm(dim=1) > 1e-2
    assert all(not v.ok for v, w in zip(solution.verdict, (still & wrong).tolist(), strict=True) if w)
    # One of the two extremes freezes each method.
    assert bool((still & wrong).all()) or value == {"pdhg": 1e30, "admm": 1e-30}[name]


@pytest.mark.parametrize("name", ["gradient-descent", "proximal-gradient", "fista", "pdhg", "admm"])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_solutions_that_no_longer_move_are_successes(name: str, scale: float) -> None:
    solution = solve(posed(scale=scale), iteration(name), stop=Stop(3000))
    assert set(solution.verdict) == {Verdict.COMPLETED}


def test_zero_iterations_and_certificates_are_left_alone() -> None:
    problem = posed()
    assert set(solve(problem, iteration("gradient-descent"), stop=Stop(0)).verdict) == {Verdict.COMPLETED}
    rule = CertifiedAccuracy(1e-3)
    assert set(solve(problem, iteration("gradient-descent"), stop=Stop(2000, [rule])).verdict) == {Verdict.CERTIFIED}


def test_training_is_not_slowed_down_by_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = posed()
    monkeypatch.setattr(Problem, "objective", lambda *_: pytest.fail("the objective was asked for"))
    solve(problem, iteration("gradient-descent"), stop=Stop(3), gradient=Unrolled())


def test_rules_that_need_a_certificate_are_refused_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = posed()
    bare = Problem(problem.operator, problem.measurement, problem.fidelity)
    chosen = iteration("gradient-descent")
    monkeypatch.setattr(type(chosen), "step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(Exception, match="certifies no error bound"):
        solve(bare, chosen, stop=Stop(5, [CertifiedAccuracy(0.1)]))
