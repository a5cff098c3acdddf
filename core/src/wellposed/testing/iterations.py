"""What every iteration promises: a pure step on batched states, the same for a sample alone, and early refusals.

An iteration that is made for a regularizer of its own, and refuses least squares with a quadratic one or none, has a
classmethod `example_problem(batch) -> Problem`, in float64, called afresh for each check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import CompositionError
from ..iteration import Iteration
from ..problem import Problem
from ..regularizer import Zero
from ..state import State
from .doubles import BareRegularizer, QuadraticRegularizer
from .measure import at_most, generator, relative, same_tensor, size_of, that
from .problems import least_squares, nonlinear_least_squares
from .promise import NotPromised, check
from .subject import Subject

S = TypeVar("S", bound=State)


def problem_for(iteration: Iteration, batch: int = 3) -> Problem:
    """Noisy least squares with a quadratic regularizer, or without where the iteration refuses that.

    An iteration's own `example_problem` takes their place.
    """
    own: Callable[[int], Problem] | None = getattr(type(iteration), "example_problem", None)
    if own is not None:
        return own(batch)
    refusals = []
    for regularizer in (QuadraticRegularizer(), Zero()):
        problem = least_squares(regularizer, batch=batch).problem
        try:
            iteration.check(problem)
        except CompositionError as refusal:
            refusals.append(str(refusal))
            continue
        return problem
    raise AssertionError(f"{type(iteration).__name__} accepts no least-squares problem: {refusals[0]}")


def run(iteration: Iteration[S], problem: Problem, steps: int, x: Tensor | None = None) -> S:
    """The state after `steps` steps."""
    state = iteration.init(problem, x)
    for _ in range(steps):
        state = iteration.step(problem, state)
    return state


@check()
def state_is_batched(subject: Subject) -> None:
    """The state is a `State` of tensors that start with the batch dimension, and the estimate is an image."""
    iteration = subject.build()
    problem = problem_for(iteration)
    for state in (iteration.init(problem), run(iteration, problem, 2)):
        that(isinstance(state, State), f"the state of {subject.label} must be a State, not a {type(state).__name__}")
        for tensor in state.tensors(bookkeeping=True):
            that(
                tensor.ndim >= 1 and len(tensor) == problem.batch,
                f"every tensor of {subject.label}'s state must start with the batch dimension {problem.batch}, so that "
                f"samples that are done can be dropped; one has shape {tuple(tensor.shape)}",
            )
        x = iteration.estimate(state)
        expected = (problem.batch, *problem.operator.domain.shape)
        that(tuple(x.shape) == expected, f"{subject.label}.estimate must be {expected}; it is {tuple(x.shape)}")


@check()
def state_survives_flattening(subject: Subject) -> None:
    """`state.unflatten(state.flatten())` is the state, which accelerations and implicit gradients rely on."""
    iteration = subject.build()
    state = run(iteration, problem_for(iteration), 2)
    matrix = state.flatten()
    that(
        matrix.ndim == 2 and len(matrix) == 3 and not matrix.is_complex(),
        f"the flattened state of {subject.label} must be a real matrix (B, n); it is {tuple(matrix.shape)}",
    )
    back = state.unflatten(matrix)
    for before, after in zip(state.tensors(bookkeeping=True), back.tensors(bookkeeping=True), strict=True):
        that(same_tensor(before, after), f"the state of {subject.label} does not survive flatten and unflatten")


@check()
def step_is_pure(subject: Subject) -> None:
    """A step changes neither its state nor the measurement, and the same state gives bitwise the same next one."""
    iteration = subject.build()
    problem = problem_for(iteration)
    for state in (iteration.init(problem), run(iteration, problem, 3)):
        watched = [*state.tensors(bookkeeping=True), problem.measurement]
        before = [tensor.clone() for tensor in watched]
        first = iteration.step(problem, state)
        unchanged = all(same_tensor(a, b) for a, b in zip(watched, before, strict=True))
        that(unchanged, f"{subject.label}.step writes into its state or the measurement")
        iteration.step(problem, first)
        second = iteration.step(problem, state)
        same = zip(first.tensors(bookkeeping=True), second.tensors(bookkeeping=True), strict=True)
        that(
            all(same_tensor(a, b) for a, b in same),
            f"{subject.label}.step gives another result for the same state: it keeps something outside the state",
        )


@check()
def starts_where_asked(subject: Subject) -> None:
    """`init(problem)` is `init(problem, zeros)`, and a given start is not written into."""
    iteration = subject.build()
    problem = problem_for(iteration)
    default, zero = iteration.init(problem), iteration.init(problem, problem.zeros())
    at_most(size_of(default.flatten() - zero.flatten()), 0.0, f"{subject.label} must start from zero by default")
    start = torch.rand(problem.zeros().shape, generator=generator(5), dtype=torch.float64)
    kept = start.clone()
    state = run(iteration, problem, 3, start)
    that(same_tensor(start, kept), f"{subject.label} writes into its start image")
    that(
        not same_tensor(run(iteration, problem, 1).flatten(), run(iteration, problem, 1, start).flatten()),
        f"{subject.label} ignores the start image that it is given",
    )
    that(bool(torch.isfinite(iteration.estimate(state)).all()), f"{subject.label} is not finite after three steps")


@check()
def treats_samples_independently(subject: Subject) -> None:
    """A sample's iterates do not depend on the others, alone from the start or left over after they are done."""
    iteration = subject.build()
    problem = problem_for(iteration)
    together = run(iteration, problem, 5)
    estimate = iteration.estimate(together)
    for i in range(problem.batch):
        index = torch.tensor([i])
        alone = iteration.estimate(run(iteration, problem.take(index), 5))
        at_most(
            relative(estimate[index], alone),
            1e-10,
            f"the iterates of {subject.label} for sample {i}, alone or in a batch",
        )
    index = torch.tensor([2])
    left = iteration.step(problem.take(index), together.take(index))
    whole = iteration.step(problem, together)
    at_most(
        relative(iteration.estimate(left), iteration.estimate(whole)[index]),
        1e-10,
        f"a step of {subject.label} for a sample whose batch shrank",
    )


@check()
def keeps_precision(subject: Subject) -> None:
    """In float32 it stays in float32, near what it is in float64."""
    double, single = subject.build(), subject.build(torch.float32)
    problem = problem_for(double)
    single_precision = problem.regularizer.to(torch.float32)
    rough = Problem(problem.operator.to(torch.float32), problem.measurement.float(), problem.fidelity, single_precision)
    x32 = single.estimate(run(single, rough, 5))
    x64 = double.estimate(run(double, problem_for(double), 5))
    that(x32.dtype == torch.float32, f"{subject.label} turns float32 into {x32.dtype}")
    # Norms are bounds, and adaptive steps may decide differently in another precision: this is no test of accuracy.
    at_most(
        relative(x32, x64),
        1e-2 if single.stationary else 0.1,
        f"{subject.label} must give the same in float32 as in float64",
    )


@check(applies=lambda cls: bool(cls.stationary))
def stationary_map_depends_on_state_alone(subject: Subject) -> None:
    """A map that claims to be stationary does the same to the same fixed-point tensors at every step."""
    iteration = subject.build()
    if not iteration.stationary:
        raise NotPromised("it does not claim to be stationary")
    problem = problem_for(iteration)
    late = run(iteration, problem, 5)
    early = iteration.init(problem).unflatten(late.flatten())
    difference = relative(iteration.step(problem, early).flatten(), iteration.step(problem, late).flatten())
    at_most(
        difference,
        1e-12,
        f"{subject.label} claims to be stationary, but its step after five steps differs from its first step on the "
        f"same tensors (a counter, momentum or step size changes the map); set stationary = False",
    )


@check(applies=lambda cls: bool(getattr(cls, "requires", True)))
def refuses_what_it_cannot_use(subject: Subject) -> None:
    """A regularizer without what it requires raises `CompositionError` that says what is missing."""
    iteration = subject.build()
    if not iteration.requires:
        raise NotPromised("it requires nothing of a regularizer")
    problem = least_squares(BareRegularizer()).problem
    message = _refusal(lambda: iteration.check(problem), f"{subject.label} must refuse a regularizer that has nothing")
    missing = [name for name in iteration.requires if name not in message]
    that(not missing, f"the refusal of {subject.label} must name what it requires, {missing}; it says: {message}")


@check(applies=lambda cls: cls.linear_only is True)
def refuses_nonlinear_operators(subject: Subject) -> None:
    """An iteration that needs an adjoint refuses nonlinear operators with `CompositionError`."""
    iteration = subject.build()
    problem = nonlinear_least_squares(problem_for(iteration).regularizer)
    _refusal(lambda: iteration.check(problem), f"{subject.label} is linear_only and must refuse a nonlinear operator")


@check()
def learned_parts_get_gradients(subject: Subject) -> None:
    """The gradient of the estimate after two steps reaches the learned parameters."""
    iteration = subject.build()
    learned = {name: p for name, p in iteration.named_parameters() if p.requires_grad}
    if not learned:
        raise NotPromised("it has no learned parameters")
    problem = problem_for(iteration)
    iteration.estimate(run(iteration, problem, 2)).square().sum().backward()
    dead = [name for name, p in learned.items() if p.grad is None or not bool(torch.isfinite(p.grad).all())]
    that(not dead, f"no finite gradient reaches {', '.join(dead)} of {subject.label}")


@check(applies=lambda cls: torch.cuda.is_available())
def runs_on_cuda(subject: Subject) -> None:
    """On CUDA it computes what it computes on the CPU."""
    here, there = subject.build(), subject.build().to("cuda")
    problem = problem_for(here)
    other = problem_for(here)
    moved = Problem(
        other.operator.to("cuda"), problem.measurement.cuda(), problem.fidelity, other.regularizer.to("cuda")
    )
    x = there.estimate(run(there, moved, 5))
    that(x.is_cuda, f"the estimate of {subject.label} on CUDA is on {x.device}")
    at_most(relative(x.cpu(), here.estimate(run(here, problem, 5))), 1e-8, f"{subject.label} on CUDA")


def _refusal(attempt: Callable[[], None], sentence: str) -> str:
    try:
        attempt()
    except CompositionError as refusal:
        return str(refusal)
    raise AssertionError(f"{sentence}; it accepts it")


CHECKS = (
    state_is_batched,
    state_survives_flattening,
    step_is_pure,
    starts_where_asked,
    treats_samples_independently,
    keeps_precision,
    stationary_map_depends_on_state_alone,
    refuses_what_it_cannot_use,
    refuses_nonlinear_operators,
    learned_parts_get_gradients,
    runs_on_cuda,
)
