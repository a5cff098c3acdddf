"""What every stopping rule promises: one number per sample, and stopping where it is low enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..driver import solve
from ..recipes.builder import constructor_parameters
from ..solution import Verdict
from ..space import norm
from ..stopping import Progress, Stop
from .doubles import GradientStep, Image, QuadraticRegularizer
from .iterations import run
from .measure import at_most, same_tensor, that, twice_the_same
from .problems import least_squares
from .promise import NotPromised, check
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


@check(since="0.2")
def measures_the_same_twice(subject: Subject) -> None:
    """The same progress gives bitwise the same number, whatever was measured before: a rule keeps no count."""
    rule, progress = subject.build(), _accelerated()
    twice_the_same(subject.label, lambda: rule.measure(progress), between=lambda: rule.measure(_progress()))
    for _ in range(5):
        rule.measure(progress)
    level = torch.as_tensor(rule.level(progress.problem))
    that(
        same_tensor(rule.measure(progress), subject.build().measure(progress))
        and same_tensor(level, torch.as_tensor(subject.build().level(progress.problem))),
        f"{subject.label} measures other numbers, or sets another level, after it was used",
    )


@check(since="0.2")
def treats_samples_independently(subject: Subject) -> None:
    """What is measured of a sample does not depend on the others, and no sample's level on another's."""
    rule, progress = subject.build(), _accelerated()
    whole = rule.measure(progress)
    that(len(set(whole.tolist())) == len(whole), f"{subject.label} measures one number for the whole batch")
    levels = torch.as_tensor(rule.level(progress.problem)).expand(3)
    for i in range(3):
        index = torch.tensor([i])
        part = rule.take(index)
        at_most(float((part.measure(_taken(progress, index)) / whole[index] - 1).abs()), 1e-8, f"{subject.label} alone")
        level = torch.as_tensor(part.level(progress.problem.take(index)))
        at_most(float((level - levels[i]).abs().max()), 0.0, f"the level of {subject.label}.take against the whole's")


@check(since="0.2")
def keeps_a_level_for_each_sample(subject: Subject) -> None:
    """Where an argument may be a tensor, one number per sample sets levels per sample, which `take` selects."""
    arguments = dict(subject.arguments)
    admitting = [
        name
        for name, parameter in constructor_parameters(subject.cls).items()
        if "Tensor" in str(parameter.annotation) and isinstance(arguments.get(name, parameter.default), float | int)
    ]
    if not admitting:
        raise NotPromised("none of its arguments may be a tensor")
    for name in admitting:
        default = constructor_parameters(subject.cls)[name].default
        value = float(arguments.get(name, default)) * torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
        rule = subject.cls(**{**arguments, name: value})
        problem = _progress().problem
        levels = torch.as_tensor(rule.level(problem))
        that(
            tuple(levels.shape) == (3,) and bool((levels.diff() != 0).all()),
            f"{subject.label} with {name} for each sample must have a level for each; it is {levels.tolist()}",
        )
        for rows in ([2], [2, 0]):
            index = torch.tensor(rows)
            part = torch.as_tensor(rule.take(index).level(problem.take(index)))
            that(
                part.shape == (len(rows),) and bool((part == levels[index]).all()),
                f"{subject.label}.take({rows}) must keep the levels of those samples; they are {part.tolist()}",
            )


@check(since="0.2")
def verdict_is_earned(subject: Subject) -> None:
    """The verdict is a good end, and CERTIFIED only where what is measured bounds the distance to the solution."""
    rule = subject.build()
    that(rule.verdict.ok, f"{subject.label} ends a sample with {rule.verdict.name}, which is no success")
    if rule.verdict is not Verdict.CERTIFIED:
        return
    posed = least_squares(QuadraticRegularizer())
    for scale in (1.0, 1e-3):
        problem = replace(posed.problem, measurement=scale * posed.problem.measurement)
        iteration = GradientStep()
        state: Image = iteration.init(problem)
        for count in range(1, 40):
            previous, state = state, iteration.step(problem, state)
            value = rule.measure(Progress(problem, iteration, state, previous, state, count))
            distance = norm(state.x - scale * posed.solution)
            that(
                bool((value >= distance * (1 - 1e-9)).all()),
                f"{subject.label} certifies accuracies by a quantity that is smaller than the distance to the "
                f"solution: {value.tolist()} and {distance.tolist()} after {count} steps",
            )


@check(since="0.2")
def name_means_what_it_says(subject: Subject) -> None:
    """A rule under a name of this house (`discrepancy`, `relative_change` …) measures the quantity of that name."""
    rule, progress = subject.build(), _accelerated()
    if rule.name not in _QUANTITIES:
        raise NotPromised(f"{rule.name!r} is a name of its own")
    value = rule.measure(progress)
    expected = _QUANTITIES[rule.name](progress)
    at_most(
        float((value / expected - 1).abs().max()), 1e-9, f"what {subject.label} calls {rule.name}, against its formula"
    )
    if rule.name in _LEVELS and all(hasattr(rule, name) for name in _LEVELS[rule.name]):
        level = math.prod(float(getattr(rule, name)) for name in _LEVELS[rule.name])
        given = float(torch.as_tensor(rule.level(progress.problem), dtype=torch.float64).max())
        at_most(abs(given - level), 1e-12 * level, f"the level of {subject.label}, {given:g} for {level:g}")


@check(since="0.2")
def measures_a_fixed_point(subject: Subject) -> None:
    """Where nothing changes any more, the zero image included, what is measured is a number."""
    rule = subject.build()
    posed = least_squares(QuadraticRegularizer())
    for measurement in (posed.problem.measurement, 0 * posed.problem.measurement):
        problem = replace(posed.problem, measurement=measurement)
        x = posed.solution if bool(measurement.any()) else 0 * posed.solution
        state = Image(x)
        value = rule.measure(Progress(problem, GradientStep(), state, state, state, 5))
        that(not bool(torch.isnan(value).any()), f"{subject.label} is not a number at a fixed point: {value.tolist()}")


# Measuring ----------------------------------------------------------------------------------------


def _relative(new: Tensor, old: Tensor) -> Tensor:
    return norm(new - old) / norm(new)


#: What the names of the house's rules mean.
_QUANTITIES: dict[str, Callable[[Progress], Tensor]] = {
    "relative_change": lambda p: _relative(p.x, p.x_previous),
    "fixed_point_residual": lambda p: _relative(p.applied.flatten(), p.previous.flatten()),
    "discrepancy": lambda p: norm(p.problem.operator(p.x) - p.problem.measurement),
    "relative_duality_gap": lambda p: _present(p.iteration.duality_gap(p.problem, p.state)) / p.problem.objective(p.x),
    "error_bound": lambda p: _present(p.iteration.error_bound(p.problem, p.state)),
}
#: Attributes whose product is the level.
_LEVELS = {
    "relative_change": ("tolerance",),
    "fixed_point_residual": ("tolerance",),
    "discrepancy": ("noise_norm", "factor"),
    "relative_duality_gap": ("tolerance",),
    "error_bound": ("accuracy",),
}


def _present(value: Tensor | None) -> Tensor:
    assert value is not None, "gradient descent has it on this problem"
    return value


def _progress() -> Progress:
    problem, iteration = least_squares(QuadraticRegularizer()).problem, GradientStep()
    previous: Image = run(iteration, problem, 2)
    state = iteration.step(problem, previous)
    return Progress(problem, iteration, state, previous, state, 3)


def _accelerated() -> Progress:
    """A step whose new state is not the plain map's value."""
    plain = _progress()
    assert isinstance(plain.state, Image)
    assert isinstance(plain.previous, Image)
    state = Image(plain.previous.x + 1.5 * (plain.state.x - plain.previous.x))
    return Progress(plain.problem, plain.iteration, state, plain.previous, plain.state, 3)


def _taken(progress: Progress, index: Tensor) -> Progress:
    return Progress(
        progress.problem.take(index),
        progress.iteration,
        progress.state.take(index),
        progress.previous.take(index),
        progress.applied.take(index),
        progress.count,
    )


CHECKS = (
    measures_one_number_per_sample,
    stops_where_its_level_is_met,
    selects_samples,
    measures_the_same_twice,
    treats_samples_independently,
    keeps_a_level_for_each_sample,
    verdict_is_earned,
    name_means_what_it_says,
    measures_a_fixed_point,
)
