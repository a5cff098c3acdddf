"""The one driver: it runs any iteration, with any acceleration, stopping rules and gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .acceleration import Acceleration, NoAcceleration
from .compatibility import with_alternatives
from .errors import CompositionError, require
from .examination import examined, stands_still
from .gradient import Gradient, NoGradient
from .iteration import Iteration
from .problem import Problem
from .solution import Solution, Verdict
from .state import State
from .stopping import Progress, Stop

Monitor = Callable[[Progress], Tensor]


def solve(
    problem: Problem,
    iteration: Iteration,
    *,
    stop: Stop | None = None,
    acceleration: Acceleration | None = None,
    gradient: Gradient | None = None,
    init: Tensor | None = None,
    monitors: Mapping[str, Monitor] | None = None,
    observer: Callable[[Progress], None] | None = None,
) -> Solution:
    """Run `iteration` on `problem` until `stop`, sample by sample.

    A sample that is done is no longer worked on: the batch shrinks to the samples still running. Every
    verdict, iteration count and bound is per sample. `monitors` are measured whenever the rules are
    (after every step where there is no rule) and kept in the history; `observer` sees every step.

    Raises `CompositionError` before any work where the parts do not fit together.
    """
    require(problem, Problem, "what is solved")
    require(iteration, Iteration, "the iteration")
    stop = stop or Stop()
    require(stop, Stop, "the stopping rule")
    acceleration = acceleration or NoAcceleration()
    gradient = gradient or NoGradient()
    check_composition(problem, iteration, stop, acceleration, gradient)
    if init is not None:
        problem.operator.check_domain(init)
        if len(init) != problem.batch:
            raise CompositionError(f"init holds {len(init)} images for {problem.batch} measurements")
    with torch.set_grad_enabled(gradient.records_loop and torch.is_grad_enabled()):
        run = _Run.start(problem, iteration, init)
        start = iteration.estimate(run.state)
        _loop(run, stop, acceleration, gradient, monitors or {}, observer)
    if not gradient.records_loop:
        run.verdict = examined(run.problem, iteration, run.state, start, run.still, run.verdict)
    # The run's problem holds numbers in the place of measurements that are not finite.
    state = gradient.attach(run.problem, iteration, run.state)
    return Solution(
        x=iteration.estimate(state),
        verdict=tuple(run.verdict),
        iterations=tuple(run.iterations),
        history=run.history,
        bound=_bound(run.problem, iteration, state, problem.finite),
        penalty=iteration.training_penalty(run.problem, state),
    )


def check_composition(
    problem: Problem, iteration: Iteration, stop: Stop, acceleration: Acceleration, gradient: Gradient
) -> None:
    """Raise `CompositionError` where the parts cannot work together."""
    demanding = [part for part in (acceleration, gradient) if part.requires_stationary]
    taped = not isinstance(gradient, NoGradient)
    try:
        iteration.check(problem)
        if demanding and not iteration.stationary:
            raise CompositionError(
                f"{type(demanding[0]).__name__} needs a map that is the same at every step; "
                f"{type(iteration).__name__} changes its map (momentum, adapted step sizes)"
            )
        if taped and not iteration.differentiable:
            raise CompositionError(
                f"{type(gradient).__name__} needs steps that can be differentiated; those of "
                f"{type(iteration).__name__} cannot (a search decides them)"
            )
    except CompositionError as error:
        raise with_alternatives(error, problem, stationary=bool(demanding), differentiable=taped) from error
    stop.check(problem, iteration)


@dataclass
class _Run:
    """The mutable bookkeeping of one solve; `active` are the samples still worked on."""

    problem: Problem
    iteration: Iteration
    state: State
    active: Tensor
    verdict: list[Verdict]
    iterations: list[int]
    still: list[bool]
    history: dict[str, list[tuple[int, list[float]]]] = field(default_factory=dict)

    @classmethod
    def start(cls, problem: Problem, iteration: Iteration, init: Tensor | None) -> _Run:
        finite = problem.finite
        verdicts = [Verdict.COMPLETED if ok else Verdict.NON_FINITE_MEASUREMENT for ok in finite.tolist()]
        if not bool(finite.all()):
            clean = problem.measurement.where(_like(finite, problem.measurement), 1.0)
            problem = Problem(problem.operator, clean, problem.fidelity, problem.regularizer)
        state = iteration.init(problem, init)
        active = finite.nonzero()[:, 0]
        return cls(problem, iteration, state, active, verdicts, [0] * problem.batch, [False] * problem.batch)

    def record(self, name: str, count: int, values: Tensor) -> None:
        row = [float("nan")] * self.problem.batch
        for i, value in zip(self.active.tolist(), values.detach().tolist(), strict=True):
            row[i] = value
        self.history.setdefault(name, []).append((count, row))

    def finish(self, done: Tensor, verdict: Verdict, count: int, still: Tensor) -> None:
        """Note how the samples `done` ended, and which of them the last step had not moved."""
        for i, unmoved in zip(self.active[done].tolist(), still[done].tolist(), strict=True):
            self.verdict[i], self.iterations[i], self.still[i] = verdict, count, unmoved


def _loop(
    run: _Run,
    stop: Stop,
    acceleration: Acceleration,
    gradient: Gradient,
    monitors: Mapping[str, Monitor],
    observer: Callable[[Progress], None] | None,
) -> None:
    if len(run.active) == 0:
        return
    part = _Part(run, stop, acceleration)
    for count in range(1, stop.iterations + 1):
        if len(run.active) == 0:
            return
        part.previous = previous = part.state
        # `problem` is bound now: a checkpoint runs the step again when the batch has shrunk.
        apply = _Recorded(gradient.wrap(lambda s, problem=part.problem: run.iteration.step(problem, s)))
        part.state, part.memory = acceleration.advance(apply, previous, part.memory)
        progress = Progress(part.problem, run.iteration, part.state, previous, apply.first or part.state, count)
        if observer is not None:
            observer(progress)
        if stop.due(count) or (monitors and (count % stop.every == 0 or count == stop.iterations)):
            _evaluate(run, part, progress, monitors)
    _finish_rest(run, part, stop)


def _evaluate(run: _Run, part: _Part, progress: Progress, monitors: Mapping[str, Monitor]) -> None:
    """Measure monitors and rules, and let go of the samples that are done or lost."""
    done = torch.zeros(len(run.active), dtype=torch.bool, device=progress.x.device)
    with torch.no_grad():
        still = stands_still(progress.x, progress.x_previous)
        broken = ~torch.isfinite(progress.x).flatten(1).all(1)
        for name, monitor in monitors.items():
            run.record(name, progress.count, monitor(progress))
        for rule in part.stop.rules:
            value = rule.measure(progress)  # type: ignore[operator]
            run.record(rule.name, progress.count, value)  # type: ignore[arg-type]
            met = (value <= rule.level(part.problem)) & ~done & ~broken  # type: ignore[operator]
            run.finish(met, rule.verdict, progress.count, still)  # type: ignore[arg-type]
            done |= met
    run.finish(broken, Verdict.DIVERGED, progress.count, still)
    part.keep_finite(broken)
    if bool((done | broken).any()):
        part.drop(done | broken)


def _finish_rest(run: _Run, part: _Part, stop: Stop) -> None:
    if len(run.active) == 0:
        return
    x = run.iteration.estimate(part.state)
    still = stands_still(x, run.iteration.estimate(part.previous)) & (stop.iterations > 0)
    finite = torch.isfinite(x).flatten(1).all(1)
    run.finish(finite, stop.exhausted, stop.iterations, still)
    run.finish(~finite, Verdict.DIVERGED, stop.iterations, still)
    part.keep_finite(~finite)
    part.drop(torch.ones_like(finite))


class _Part:
    """The samples still worked on: their problem, state, rules and acceleration memory."""

    def __init__(self, run: _Run, stop: Stop, acceleration: Acceleration) -> None:
        self.run = run
        self.problem, self.state, self.stop = run.problem, run.state, stop
        if len(run.active) < run.problem.batch:
            self.problem, self.state = run.problem.take(run.active), run.state.take(run.active)
            self.stop = stop.take(run.active)
        self.previous = self.state
        self.memory: Any = acceleration.init(self.state)
        self.last_finite = self.state

    def keep_finite(self, broken: Tensor) -> None:
        """Take the samples `broken` back to the last state that was seen to be finite; remember the others."""
        if bool(broken.any()):
            index = broken.nonzero()[:, 0]
            self.state = self.state.put(index, self.last_finite.take(index))
        self.last_finite = self.state

    def drop(self, done: Tensor) -> None:
        """Write the samples `done` back into the whole batch and go on with the rest."""
        run = self.run
        if bool(done.all()) and len(run.active) == run.problem.batch:
            run.state = self.state
        else:
            index = done.nonzero()[:, 0]
            run.state = run.state.put(run.active[index], self.state.take(index))
        keep = (~done).nonzero()[:, 0]
        run.active = run.active[keep]
        if len(keep):
            self.problem, self.state = self.problem.take(keep), self.state.take(keep)
            self.previous, self.last_finite = self.previous.take(keep), self.state
            self.stop = self.stop.take(keep)
            self.memory = self.memory.take(keep) if isinstance(self.memory, State) else self.memory


class _Recorded:
    """The map, remembering its first value: the residual of an accelerated step is that of the plain map."""

    def __init__(self, step: Callable[[State], State]) -> None:
        self.step = step
        self.first: State | None = None

    def __call__(self, state: State) -> State:
        value = self.step(state)
        self.first = self.first or value
        return value


def _bound(problem: Problem, iteration: Iteration, state: State, finite: Tensor) -> Tensor | None:
    """Certified distances; infinite for samples without a measurement to be right about."""
    with torch.no_grad():
        bound = iteration.error_bound(problem, state)
        return None if bound is None else torch.where(finite, bound, torch.inf)


def _like(flag: Tensor, tensor: Tensor) -> Tensor:
    return flag.reshape(-1, *([1] * (tensor.ndim - 1)))
