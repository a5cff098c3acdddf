"""Stopping rules: what each measures, when it is met, per sample, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from wellposed import CompositionError, InputError, Iteration, Problem, State, Stop, Verdict, solve
from wellposed.space import norm
from wellposed.stopping import (
    CertifiedAccuracy,
    Discrepancy,
    DualityGap,
    FixedPointResidual,
    RelativeChange,
)
from wellposed.testing.doubles import DenseOperator, GradientStep, QuadraticFidelity, QuadraticRegularizer


@dataclass(frozen=True)
class Pair(State):
    image: Tensor
    dual: Tensor


class Waiting(Iteration[Pair]):
    """The dual variable moves at once, the image only after three steps; both go to the measurement."""

    def init(self, problem: Problem, x: Tensor | None = None) -> Pair:
        return Pair(problem.zeros(), problem.zeros())

    def step(self, problem: Problem, state: Pair) -> Pair:
        target = problem.operator.vjp(state.image, problem.measurement)
        dual = state.dual + 0.5 * (target - state.dual)
        far = norm(dual) > 0.8 * norm(target)
        return Pair(torch.where(far[:, None, None, None], dual, 0.0), dual)


class Changing(GradientStep):
    """Claims that its map is not the same at every step."""

    stationary = False


def problem(scale: float = 1.0, factor: float = 0.1) -> Problem:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.eye(4, dtype=torch.float64) + 0.3 * torch.rand(4, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(3, 4, generator=generator, dtype=torch.float64) * scale
    operator = DenseOperator(matrix.tolist(), (1, 2, 2))
    return Problem(operator, y, QuadraticFidelity(), QuadraticRegularizer(factor))


def exact(posed: Problem, factor: float = 0.1) -> Tensor:
    matrix = posed.operator.matrix  # type: ignore[attr-defined]
    normal = matrix.mT @ matrix + factor * torch.eye(4, dtype=torch.float64)
    return torch.linalg.solve(normal, matrix.mT @ posed.measurement.mT).mT.reshape(-1, 1, 2, 2)


def test_relative_change_is_measured_and_met() -> None:
    posed = problem()
    solution = solve(posed, GradientStep(), stop=Stop(500, [RelativeChange(1e-6)]))
    assert solution.verdict == (Verdict.CONVERGED,) * 3
    history = solution.history["relative_change"]
    for i, count in enumerate(solution.iterations):
        values = {k: row[i] for k, row in history}
        assert values[count] <= 1e-6 < values[count - 1]
    # Independent of the units of the image.
    assert solve(problem(1e6), GradientStep(), stop=Stop(500, [RelativeChange(1e-6)])).iterations == solution.iterations


def test_an_image_that_has_not_moved_yet_has_not_converged() -> None:
    posed = problem()
    posed = Problem(DenseOperator(torch.eye(4).tolist(), (1, 2, 2)), posed.measurement, posed.fidelity)
    solution = solve(posed, Waiting(), stop=Stop(100, [RelativeChange(1e-8)]))
    torch.testing.assert_close(solution.require().flatten(1), posed.measurement, rtol=1e-6, atol=1e-8)


def test_a_solution_that_is_zero_converges() -> None:
    posed = problem(scale=0.0)
    solution = solve(posed, GradientStep(), stop=Stop(100, [RelativeChange(1e-6)]))
    assert solution.verdict == (Verdict.CONVERGED,) * 3
    assert solution.iterations == (1, 1, 1)


def test_fixed_point_residual_needs_a_stationary_map() -> None:
    solution = solve(problem(), GradientStep(), stop=Stop(500, [FixedPointResidual(1e-7)]))
    assert all(verdict is Verdict.CONVERGED for verdict in solution.verdict)
    with pytest.raises(CompositionError, match="relative-change"):
        solve(problem(), Changing(), stop=Stop(5, [FixedPointResidual()]))


def test_discrepancy_stops_at_the_first_step_below_the_noise() -> None:
    posed = problem()
    posed = Problem(posed.operator, posed.measurement, posed.fidelity)
    rule = Discrepancy(noise_norm=0.3, factor=1.2)
    solution = solve(posed, GradientStep(), stop=Stop(500, [rule]))
    residual = norm(posed.operator(solution.x) - posed.measurement)
    assert bool((residual <= 0.36).all())
    for i, count in enumerate(solution.iterations):
        before = [row[i] for k, row in solution.history["discrepancy"] if k == count - 1]
        assert not before or before[0] > 0.36


def test_duality_gap_is_relative_to_the_objective() -> None:
    posed = problem()
    solution = solve(posed, GradientStep(), stop=Stop(500, [DualityGap(1e-8)]))
    excess = posed.objective(solution.require()) - posed.objective(exact(posed))
    assert bool((excess <= 1e-8 * posed.objective(solution.x)).all())


def test_certified_accuracy_certifies_and_differs_per_sample() -> None:
    posed = problem()
    asked = torch.tensor([1e-1, 1e-3, 1e-6], dtype=torch.float64)
    solution = solve(posed, GradientStep(), stop=Stop(2000, [CertifiedAccuracy(asked)]))
    assert solution.verdict == (Verdict.CERTIFIED,) * 3
    assert solution.bound is not None
    distance = norm(solution.x - exact(posed))
    assert bool((distance <= solution.bound).all())
    assert bool((solution.bound <= asked).all())
    # One number, or as a tensor without a batch, means the same for all.
    for accuracy in (1e-3, torch.tensor(1e-3)):
        assert (
            solve(posed, GradientStep(), stop=Stop(2000, [CertifiedAccuracy(accuracy)])).iterations[1]
            == solution.iterations[1]
        )


def test_rules_that_can_never_be_evaluated_are_refused() -> None:
    class Plain(Iteration[Pair]):
        init, step = Waiting.init, Waiting.step

    with pytest.raises(CompositionError, match="no duality gap"):
        solve(problem(), Plain(), stop=Stop(5, [DualityGap()]))
    bare = Problem(problem().operator, problem().measurement, QuadraticFidelity())
    with pytest.raises(CompositionError, match="certifies no error bound"):
        solve(bare, GradientStep(), stop=Stop(5, [CertifiedAccuracy(0.1)]))


def test_the_first_rule_that_is_met_ends_a_sample() -> None:
    rules = [CertifiedAccuracy(1e-12), RelativeChange(1e-3)]
    solution = solve(problem(), GradientStep(), stop=Stop(500, rules))
    assert solution.verdict == (Verdict.CONVERGED,) * 3
    solution = solve(problem(), GradientStep(), stop=Stop(500, [CertifiedAccuracy(10.0), RelativeChange(1e-12)]))
    assert solution.verdict == (Verdict.CERTIFIED,) * 3


def test_rules_are_evaluated_every_so_many_steps_and_at_the_last() -> None:
    solution = solve(problem(), GradientStep(), stop=Stop(25, [RelativeChange(1e-15)], every=10))
    assert [count for count, _ in solution.history["relative_change"]] == [10, 20, 25]
    assert solution.verdict == (Verdict.ITERATION_LIMIT,) * 3
    assert solution.iterations == (25, 25, 25)


def test_without_rules_the_asked_for_steps_are_done() -> None:
    solution = solve(problem(), GradientStep(), stop=Stop(7))
    assert solution.verdict == (Verdict.COMPLETED,) * 3
    assert solution.iterations == (7, 7, 7)
    start = solve(problem(), GradientStep(), stop=Stop(0))
    assert bool((start.x == 0).all())
    assert start.iterations == (0, 0, 0)


def test_only_keeps_the_limit_and_leaves_the_original_alone() -> None:
    stop = Stop(10, [RelativeChange()], every=2)
    accurate = stop.only(CertifiedAccuracy(0.1))
    assert [type(rule) for rule in accurate.rules] == [CertifiedAccuracy]
    assert (accurate.iterations, accurate.every) == (10, 2)
    assert [type(rule) for rule in stop.rules] == [RelativeChange]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stop(-1),
        lambda: Stop(5, every=0),
        lambda: RelativeChange(0.0),
        lambda: FixedPointResidual(-1.0),
        lambda: DualityGap(0.0),
        lambda: Discrepancy(0.0),
        lambda: Discrepancy(1.0, factor=0.5),
        lambda: CertifiedAccuracy(0.0),
        lambda: CertifiedAccuracy(torch.tensor([0.1, -0.1])),
    ],
)
def test_settings_out_of_range_are_told(make) -> None:
    with pytest.raises(InputError):
        make()
