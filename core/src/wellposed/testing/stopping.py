"""What every stopping rule promises: one number per sample, and stopping where it is low enough."""

from __future__ import annotations

import torch

from ..driver import solve
from ..stopping import Progress, Stop
from .doubles import GradientStep, Image, QuadraticRegularizer
from .iterations import run
from .measure import at_most, that
from .problems import least_squares
from .promise import check
from .subject import Subject


@check()
def measures_one_number_per_sample(subject: Subject) -> None:
    """`measure` is `(B,)`, finite and nonnegative; `level` is a number or `(B,)`; `name` is not empty."""
    rule, progress = subject.build(), _progress()
    that(bool(rule.name), f"{subject.label} needs a name for the history")
    value = rule.measure(progress)
    that(tuple(value.shape) == (3,), f"{subject.label}.measure must be (3,); it is {tuple(value.shape)}")
    that(
        bool((torch.isfinite(value) & (value >= 0)).all()),
        f"{subject.label}.measure must be finite and nonnegative; it is {value.tolist()}",
    )
    level = torch.as_tensor(rule.level(progress.problem))
    that(level.shape in ((), (3,)), f"{subject.label}.level must be a number or (3,); it is {tuple(level.shape)}")


@check()
def stops_where_its_level_is_met(subject: Subject) -> None:
    """A converging run ends with its verdict, at the first evaluation that is at or under the level."""
    rule, problem = subject.build(), least_squares(QuadraticRegularizer()).problem
    solution = solve(problem, GradientStep(), stop=Stop(2000, [rule]))
    that(
        all(v is rule.verdict for v in solution.verdict),
        f"{subject.label} must stop gradient descent within 2000 steps; the verdicts are "
        f"{[v.name for v in solution.verdict]}",
    )
    level = torch.as_tensor(rule.level(problem)).expand(3)
    history = dict(solution.history[rule.name])
    for i, count in enumerate(solution.iterations):
        at_most(history[count][i], float(level[i]), f"what {subject.label} measured when it stopped sample {i}")
        earlier = [values[i] for step, values in history.items() if step < count]
        that(all(v > level[i] for v in earlier), f"{subject.label} did not stop sample {i} when its level was met")


@check()
def selects_samples(subject: Subject) -> None:
    """`take(index)` is the rule of those samples."""
    rule, progress = subject.build(), _progress()
    index = torch.tensor([1])
    state, previous = progress.state.take(index), progress.previous.take(index)
    part = Progress(progress.problem.take(index), progress.iteration, state, previous, state, progress.count)
    value, whole = rule.take(index).measure(part), rule.measure(progress)[index]
    at_most(float((value - whole).abs().max() / whole.abs().max()), 1e-8, f"{subject.label} on samples taken")


def _progress() -> Progress:
    problem, iteration = least_squares(QuadraticRegularizer()).problem, GradientStep()
    previous: Image = run(iteration, problem, 2)
    state = iteration.step(problem, previous)
    return Progress(problem, iteration, state, previous, state, 3)


CHECKS = (measures_one_number_per_sample, stops_where_its_level_is_met, selects_samples)
