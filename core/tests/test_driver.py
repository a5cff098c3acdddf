"""The driver: samples are independent, failures are told, what was measured is kept, parts are checked first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from wellposed import (
    Acceleration,
    CompositionError,
    Iteration,
    Problem,
    ShapeError,
    State,
    Stop,
    Verdict,
    bookkeeping,
    solve,
)
from wellposed.errors import InputError, SolveFailed
from wellposed.gradient import Gradient, Unrolled
from wellposed.solver import Iterative
from wellposed.stopping import CertifiedAccuracy, FixedPointResidual, Progress, RelativeChange
from wellposed.testing.doubles import (
    BareRegularizer,
    DenseOperator,
    GradientStep,
    QuadraticFidelity,
    QuadraticRegularizer,
)
from wellposed.testing.problems import least_squares


@dataclass(frozen=True)
class Stepped(State):
    image: Tensor
    size: Tensor = bookkeeping()


class Growing(Iteration[Stepped]):
    """Multiplies each image by a number of its own: those above 1 diverge."""

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        self.register_buffer("factors", factors)
        self.batches: list[int] = []

    factors: Tensor

    def init(self, problem: Problem, x: Tensor | None = None) -> Stepped:
        return Stepped(torch.ones_like(problem.zeros()) if x is None else x, self.factors)

    def step(self, problem: Problem, state: Stepped) -> Stepped:
        self.batches.append(len(state.image))
        return Stepped(state.image * state.size[:, None, None, None], state.size)


class MaskOperator(DenseOperator):
    """A matrix and a mask of measurements of its own for each sample."""

    def __init__(self, matrix: Any, mask: Tensor) -> None:
        super().__init__(matrix, (1, 2, 2))
        self.register_buffer("mask", mask)

    mask: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return self.mask * super()._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return super()._adjoint(self.mask * y)

    def _norm(self) -> float:
        return float(torch.linalg.matrix_norm(self.matrix, 2))

    def take(self, index: Tensor) -> MaskOperator:
        return MaskOperator(self.matrix, self.mask[index])


class Averaged(Acceleration):
    """Goes on from the mean of the last two values; remembers one of them in a state."""

    def init(self, state: State) -> Stepped:
        return Stepped(state.flatten(), torch.zeros(len(state.flatten())))

    def advance(self, apply: Callable, state: Any, memory: Any) -> Any:
        value = apply(state)
        mean = (value.flatten() + memory.image) / 2
        return value.unflatten(mean), Stepped(value.flatten(), memory.size)


def matrix() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.eye(4, dtype=torch.float64) + 0.3 * torch.rand(4, 4, generator=generator, dtype=torch.float64)


def problem(batch: int = 4) -> Problem:
    y = torch.randn(batch, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = y * torch.logspace(0, 3, batch, dtype=torch.float64)[:, None]
    return Problem(DenseOperator(matrix().tolist(), (1, 2, 2)), y, QuadraticFidelity(), QuadraticRegularizer(0.1))


STOP = Stop(400, [CertifiedAccuracy(1e-3)])


def test_each_sample_ends_as_it_would_alone() -> None:
    posed = problem()
    together = solve(posed, GradientStep(), stop=STOP)
    assert len(set(together.iterations)) == 4
    for i in range(4):
        alone = solve(posed.take(torch.tensor([i])), GradientStep(), stop=STOP)
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=1e-12, atol=1e-12)
        assert alone.iterations[0] == together.iterations[i]
        assert alone.verdict[0] is together.verdict[i]
        assert alone.bound is not None
        assert together.bound is not None
        torch.testing.assert_close(alone.bound[0], together.bound[i])


def test_samples_that_are_done_are_no_longer_worked_on() -> None:
    iteration = Growing(torch.tensor([1.0, 0.5, 1.0 + 1e-3], dtype=torch.float64))
    solution = solve(problem(3), iteration, stop=Stop(50, [RelativeChange(1e-9)]))
    assert iteration.batches[:2] == [3, 2]
    assert solution.iterations == (1, 50, 50)
    assert solution.verdict == (Verdict.CONVERGED, Verdict.ITERATION_LIMIT, Verdict.ITERATION_LIMIT)
    torch.testing.assert_close(solution.x[1], 0.5**50 * torch.ones(1, 2, 2, dtype=torch.float64))


def test_operators_with_data_of_each_sample_shrink_with_the_batch() -> None:
    posed = problem()
    mask = (torch.rand(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) > 0.3).double()
    masked = Problem(MaskOperator(matrix().tolist(), mask), posed.measurement, posed.fidelity, posed.regularizer)
    together = solve(masked, GradientStep(), stop=STOP)
    for i in range(4):
        alone = solve(masked.take(torch.tensor([i])), GradientStep(), stop=STOP)
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=1e-13, atol=1e-13)
        assert alone.iterations[0] == together.iterations[i]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_measurements_that_are_not_finite_get_a_verdict_and_the_start_image(value: float) -> None:
    posed = problem()
    clean = solve(posed, GradientStep(), stop=STOP)
    y = posed.measurement.clone()
    y[2, 1] = value
    start = torch.full((4, 1, 2, 2), 0.25, dtype=torch.float64)
    broken = Problem(posed.operator, y, posed.fidelity, posed.regularizer)
    solution = solve(broken, GradientStep(), stop=STOP, init=start)
    assert solution.verdict[2] is Verdict.NON_FINITE_MEASUREMENT
    assert solution.iterations[2] == 0
    assert torch.equal(solution.x[2], start[2])
    assert solution.bound is not None
    assert float(solution.bound[2]) == float("inf")
    sound = [0, 1, 3]
    torch.testing.assert_close(solution.x[sound], clean.x[sound], atol=3e-3, rtol=0.0)
    assert all(solution.verdict[i] is Verdict.CERTIFIED for i in sound)
    with pytest.raises(SolveFailed, match=r"sample 2: NON_FINITE_MEASUREMENT.*mask them out"):
        solution.require()


def test_a_batch_of_broken_measurements_alone_is_told_too() -> None:
    posed = problem(2)
    broken = Problem(posed.operator, posed.measurement * float("nan"), posed.fidelity, posed.regularizer)
    solution = solve(broken, GradientStep(), stop=STOP)
    assert solution.verdict == (Verdict.NON_FINITE_MEASUREMENT,) * 2
    assert bool((solution.x == 0).all())


def test_divergence_is_told_and_the_last_finite_image_seen_is_returned() -> None:
    iteration = Growing(torch.tensor([1e150, 0.5], dtype=torch.float64))
    solution = solve(problem(2), iteration, stop=Stop(40, [RelativeChange(1e-9)]))
    assert solution.verdict[0] is Verdict.DIVERGED
    assert solution.iterations[0] == 3
    assert float(solution.x[0].max()) == pytest.approx(1e300)
    # Rules that look at every tenth step only, or no rules: the start is the last image seen.
    for stop in (Stop(40, [RelativeChange(1e-9)], every=10), Stop(40)):
        solution = solve(problem(2), iteration, stop=stop)
        assert solution.verdict[0] is Verdict.DIVERGED
        assert bool(torch.isfinite(solution.x).all())
        torch.testing.assert_close(solution.x[1], 0.5**40 * torch.ones(1, 2, 2, dtype=torch.float64))


def test_monitors_and_rules_are_kept_per_sample_with_gaps_where_samples_are_done() -> None:
    posed = problem()
    solution = solve(posed, GradientStep(), stop=STOP, monitors={"objective": lambda p: p.problem.objective(p.x)})
    for i, last in enumerate(solution.iterations):
        seen = [(count, row[i]) for count, row in solution.history["objective"] if row[i] == row[i]]
        assert [count for count, _ in seen] == list(range(1, last + 1))
        values = [value for _, value in seen]
        assert values == sorted(values, reverse=True)
    assert set(solution.history) == {"objective", "error_bound"}


def test_monitors_without_rules_are_measured_at_every_step() -> None:
    monitors = {"size": lambda p: p.x.flatten(1).sum(1)}
    solution = solve(problem(), GradientStep(), stop=Stop(5), monitors=monitors)
    assert [count for count, _ in solution.history["size"]] == [1, 2, 3, 4, 5]
    assert solution.verdict == (Verdict.COMPLETED,) * 4


def test_observers_see_every_step() -> None:
    seen: list[Progress] = []
    solve(problem(), GradientStep(), stop=Stop(4), observer=seen.append)
    assert [progress.count for progress in seen] == [1, 2, 3, 4]
    assert all(later.previous is earlier.state for earlier, later in pairwise(seen))


def test_accelerations_drop_samples_from_their_memory() -> None:
    posed = problem()
    together = solve(posed, GradientStep(), stop=STOP, acceleration=Averaged())
    for i in range(4):
        alone = solve(posed.take(torch.tensor([i])), GradientStep(), stop=STOP, acceleration=Averaged())
        torch.testing.assert_close(alone.x[0], together.x[i])
        assert alone.iterations[0] == together.iterations[i]


def test_the_residual_of_an_accelerated_iteration_is_that_of_the_plain_map() -> None:
    posed = problem()
    found: list[float] = []

    def watch(progress: Progress) -> None:
        plain = GradientStep().step(progress.problem, progress.previous)  # type: ignore[arg-type]
        found.append(float((plain.x - progress.previous.x).norm() / plain.x.norm()))  # type: ignore[attr-defined]

    one = posed.take(torch.tensor([0]))
    rule = FixedPointResidual(1e-9)
    solution = solve(one, GradientStep(), stop=Stop(20, [rule]), acceleration=Averaged(), observer=watch)
    assert [row[0] for _, row in solution.history[rule.name]] == pytest.approx(found)


def test_parts_that_do_not_fit_are_refused_before_any_work() -> None:
    class Momentum(Growing):
        stationary = False

    class NeedsStationary(Gradient):
        requires_stationary = True

    posed = problem()
    iteration = Momentum(torch.ones(4, dtype=torch.float64))
    for part in ({"acceleration": Averaged()}, {"gradient": NeedsStationary()}):
        with pytest.raises(CompositionError, match=r"same at every step.*gradient-descent"):
            solve(posed, iteration, **part)
    bare = Problem(posed.operator, posed.measurement, posed.fidelity, BareRegularizer())
    with pytest.raises(CompositionError, match="needs a regularizer with grad, value"):
        solve(bare, GradientStep())
    assert iteration.batches == []


def test_what_is_no_part_of_a_problem_is_told() -> None:
    posed = problem()
    for attempt, sentence in (
        (
            lambda: Problem(posed.operator, posed.measurement, QuadraticFidelity),
            "the fidelity of a problem is the class",
        ),
        (
            lambda: Problem(posed.measurement, posed.measurement, QuadraticFidelity()),
            "must be an instance of Operator; a Tensor was",
        ),
        (lambda: solve(posed, GradientStep), r"the iteration is the class GradientStep; .*write GradientStep\(…\)"),
        (lambda: solve(posed, GradientStep(), stop=2), "the stopping rule must be an instance of Stop; 2 was given"),
    ):
        with pytest.raises(InputError, match=sentence):
            attempt()


def test_start_images_are_checked() -> None:
    posed = problem()
    with pytest.raises(ShapeError, match="takes images of shape"):
        solve(posed, GradientStep(), init=torch.zeros(4, 1, 3, 3, dtype=torch.float64))
    with pytest.raises(CompositionError, match="2 images for 4 measurements"):
        solve(posed, GradientStep(), init=torch.zeros(2, 1, 2, 2, dtype=torch.float64))


def test_solving_changes_neither_measurement_nor_start() -> None:
    posed = problem()
    start = torch.full((4, 1, 2, 2), 0.25, dtype=torch.float64)
    kept = posed.measurement.clone(), start.clone()
    first = solve(posed, GradientStep(), stop=STOP, init=start)
    assert torch.equal(posed.measurement, kept[0])
    assert torch.equal(start, kept[1])
    assert torch.equal(solve(posed, GradientStep(), stop=STOP, init=start).x, first.x)


def test_the_iterative_solver_is_the_driver() -> None:
    posed = problem()
    solver = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(0.1), Stop(30))
    torch.testing.assert_close(solver(posed.measurement, posed.operator), solve(posed, GradientStep(), stop=Stop(30)).x)
    asked = solver.solve(posed, accuracy=0.5)
    assert asked.verdict[0] is Verdict.CERTIFIED
    warm = Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(0.1), Stop(30), init=solver)
    torch.testing.assert_close(warm(posed.measurement, posed.operator), solve(posed, GradientStep(), stop=Stop(60)).x)


def test_a_tape_through_a_search_is_refused_with_what_would_fit() -> None:
    class Searching(GradientStep):
        differentiable = False

    problem = least_squares().problem
    assert solve(problem, Searching(), stop=Stop(2)).x.shape == problem.zeros().shape
    words = r"Unrolled needs steps that can be differentiated; those of Searching cannot .*Iterations that fit: \S+"
    with pytest.raises(CompositionError, match=words):
        solve(problem, Searching(), gradient=Unrolled())
