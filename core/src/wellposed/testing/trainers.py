"""What every trainer promises: it trains, repeatably, and a finished run is found again.

A trainer that fits a learned solver to images needs nothing more. One that trains something else has a
classmethod `example_task() -> (target, dataset)`, called afresh for each run. What was learned are the target's
parameters, and the constructor arguments that `Fitted.arguments` names.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..dataset import Dataset, Sample
from ..errors import InputError, WellposedError
from ..hooks import TrainingObserver
from ..recipes.builder import constructor_parameters
from ..solver import Solver
from ..trainer import Fitted
from .doubles import Bumps, DenseOperator, LearnedFilter
from .global_state import watched
from .measure import same_tensor, that
from .promise import NotPromised, check
from .subject import Subject


@check()
def trains_repeatably(subject: Subject) -> None:
    """`fit` changes the target's weights or learns arguments of it, and does the same again from the same start."""
    with tempfile.TemporaryDirectory() as folder:
        first = _fitted(subject, Path(folder) / "first")
        second = _fitted(subject, Path(folder) / "second")
    that(first.steps > 0, f"{subject.label} says that it did {first.steps} steps")
    start, trained = _weights(_task(subject)[0]), _learned(first)
    that(
        any(not same_tensor(trained[name], p) for name, p in start.items()) or bool(first.arguments),
        f"{subject.label} leaves the weights as they were",
    )
    for name, p in _learned(second).items():
        that(bool(torch.isfinite(p).all()), f"{subject.label} trains {name} to values that are not finite")
        that(same_tensor(trained[name], p), f"{subject.label} trains {name} to other values each time")


@check()
def goes_on_from_its_checkpoint(subject: Subject) -> None:
    """Called again on the folder of a finished run, it ends with the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        first = _fitted(subject, Path(folder) / "run")
        again = _fitted(subject, Path(folder) / "run")
    _assert_learned_the_same(first, again, f"{subject.label}, called again on a finished run,")


@check(since="0.2")
def loss_falls(subject: Subject) -> None:
    """Trained for longer, its loss is lower in the last third than in the first; so is a learned solver's error."""
    longer = _Recorder()
    patient = _with(subject, steps=200, log_every=1, checkpoint_every=200)
    target, data = _task(subject)
    before = _error(target, data)
    with tempfile.TemporaryDirectory() as folder:
        fitted = _fit(patient, target, data, Path(folder), longer)
    after = _error(fitted.target, data)
    if before is not None and after is not None:
        # Of the kit's own task it is known what two hundred steps can do.
        enough = 0.5 if "steps" in patient.arguments and not hasattr(subject.cls, "example_task") else 1.0
        that(
            after < enough * before,
            f"{subject.label} must lower the error of what it trains; on its training data it went from {before:.4g} "
            f"to {after:.4g}",
        )
    losses = [metrics["loss"] for _, metrics in longer.steps if "loss" in metrics]
    third = len(losses) // 3
    if third >= 3:
        first, last = sum(losses[:third]) / third, sum(losses[-third:]) / third
        that(last < first, f"the loss of {subject.label} must fall; its mean went from {first:.4g} to {last:.4g}")
    elif before is None:
        raise NotPromised("it tells its observer no loss, and trains no solver")


@check(since="0.2")
def goes_on_after_an_interruption(subject: Subject) -> None:
    """Killed after its first checkpoint it goes on from there, does not begin again, and ends with the same weights."""
    subject = _with(subject, steps=6, log_every=1, checkpoint_every=2)
    whole, killed, resumed = _Recorder(), _Recorder(kill=True), _Recorder()
    with tempfile.TemporaryDirectory() as folder:
        target, data = _task(subject)
        first = _fit(subject, target, data, Path(folder) / "whole", whole)
        target, data = _task(subject)
        try:
            _fit(subject, target, data, Path(folder) / "killed", killed)
        except _Killed:
            pass
        else:
            raise NotPromised("it tells of no step after its first checkpoint, so it could not be interrupted")
        target, data = _task(subject)
        second = _fit(subject, target, data, Path(folder) / "killed", resumed)
    reached = killed.checkpoints[-1]
    again = [step for step, _ in resumed.steps if step <= reached]
    that(
        bool(resumed.steps) and not again,
        f"{subject.label} was killed after its checkpoint of step {reached} and must go on from there; called again "
        f"it told of the steps {[step for step, _ in resumed.steps]}",
    )
    _assert_learned_the_same(first, second, f"{subject.label}, interrupted and called again,")


@check(since="0.2")
def returns_what_it_trained(subject: Subject) -> None:
    """`fit` returns its own target in the mode it came in and finite metrics, and tells of its steps in order."""
    told = _Recorder()
    target, data = _task(subject)
    target.eval()
    learning = {name: p.requires_grad for name, p in target.named_parameters()}
    with tempfile.TemporaryDirectory() as folder:
        fitted = _fit(subject, target, data, Path(folder), told)
    that(fitted.target is target, f"{subject.label} must return the target that it was given, trained")
    that(not target.training, f"{subject.label} leaves a target in training mode that came in evaluation mode")
    now = {name: p.requires_grad for name, p in target.named_parameters()}
    that(now == learning, f"{subject.label} changes which parameters of its target learn")
    numbers = {k: v for k, v in fitted.metrics.items() if not math.isfinite(v)}
    that(not numbers, f"{subject.label} returns metrics that are not finite: {numbers}")
    steps = [step for step, _ in told.steps]
    that(steps == sorted(set(steps)), f"{subject.label} tells its steps out of order: {steps}")
    if steps and "steps" in subject.arguments:
        count = subject.arguments["steps"]
        that(
            steps[-1] == count == fitted.steps,
            f"{subject.label} was to do {count} steps; it tells of {steps[-1]} and returns {fitted.steps}",
        )


@check(since="0.2")
def leaves_frozen_parameters_alone(subject: Subject) -> None:
    """Parameters that do not require gradients stay as they are, bit by bit."""
    target, data = _task(subject)
    parameters = dict(target.named_parameters())
    if len(parameters) < 2:
        raise NotPromised("its target has less than two parameters")
    frozen = list(parameters)[-1]
    parameters[frozen].requires_grad_(False)
    kept = parameters[frozen].detach().clone()
    with tempfile.TemporaryDirectory() as folder:
        try:
            fitted = _fit(subject, target, data, Path(folder))
        except WellposedError as refusal:
            raise NotPromised(f"it refuses a target with frozen parameters: {refusal}") from refusal
    found = dict(fitted.target.named_parameters())[frozen].detach()
    that(same_tensor(found, kept), f"{subject.label} trains {frozen}, which is frozen (requires_grad = False)")


@check(since="0.2")
def draws_no_global_random_numbers(subject: Subject) -> None:
    """Training changes no setting of the process, its global random numbers among them."""
    target, data = _task(subject)
    with tempfile.TemporaryDirectory() as folder:
        _fit(subject, *_task(subject), Path(folder) / "first")  # what libraries set up once is not its doing
        with watched(f"training by {subject.label}"):
            _fit(subject, target, data, Path(folder) / "second")


def _with(subject: Subject, **arguments: int) -> Subject:
    """The trainer with those of the arguments that it has."""
    known = constructor_parameters(subject.cls)
    given = {name: value for name, value in arguments.items() if name in known}
    return Subject(subject.kind, subject.cls, {**subject.arguments, **given}, subject.name)


class _Killed(Exception):
    """What a recorder raises in the place of a signal."""


class _Recorder(TrainingObserver):
    """Remembers what a training tells; with `kill`, ends it at the first step after its first checkpoint."""

    def __init__(self, kill: bool = False) -> None:
        self.kill = kill
        self.steps: list[tuple[int, dict[str, float]]] = []
        self.checkpoints: list[int] = []

    def step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        self.steps.append((step, dict(metrics)))
        if self.kill and self.checkpoints and step < steps:
            raise _Killed

    def checkpoint(self, path: Path, step: int) -> None:
        self.checkpoints.append(step)


class _Measured(Dataset):
    """Bumps with their measurements by the identity."""

    source = "none: a placeholder"

    def __init__(self) -> None:
        self.images = Bumps()
        self.operator = DenseOperator.from_tensor(torch.eye(64), (1, 8, 8)).to(torch.float32)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        image = self.images[index]
        assert image.truth is not None
        return Sample(image.name, image.truth, self.operator(image.truth[None])[0], self.operator)


def _fitted(subject: Subject, folder: Path) -> Fitted:
    folder.mkdir(exist_ok=True)
    target, data = _task(subject)
    return _fit(subject, target, data, folder)


def _fit(
    subject: Subject, target: nn.Module, data: Dataset, folder: Path, observer: TrainingObserver | None = None
) -> Fitted:
    folder.mkdir(exist_ok=True)
    try:
        return subject.build(torch.float32).fit(target, data, folder, observer)
    except InputError as refusal:
        if hasattr(subject.cls, "example_task"):
            raise
        raise NotPromised(f"it trains no learned solver, and has no example_task(): {refusal}") from refusal


def _error(target: nn.Module, data: Dataset) -> float | None:
    """The mean squared error of a solver on its training data."""
    if not isinstance(target, Solver):
        return None
    total, training = 0.0, target.training
    target.eval()
    with torch.no_grad():
        for i in range(len(data)):
            sample = data[i]
            if sample.truth is None or sample.measurement is None or sample.operator is None:
                return None
            x = target(sample.measurement[None], sample.operator)[0]
            total += float((x - sample.truth).abs().square().mean()) / len(data)
    target.train(training)
    return total


def _assert_learned_the_same(first: Fitted, second: Fitted, who: str) -> None:
    expected, found = _learned(first), _learned(second)
    that(expected.keys() == found.keys(), f"{who} learns {sorted(found)}; the first time {sorted(expected)}")
    for name, value in found.items():
        that(same_tensor(expected[name], value), f"{who} ends with other values of {name}")


def _learned(fitted: Fitted) -> dict[str, Tensor]:
    """The weights of the target, and the arguments that were learned."""
    arguments = {name: torch.tensor(value, dtype=torch.float64) for name, value in fitted.arguments.items()}
    return {**_weights(fitted.target), **arguments}


def _weights(target: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in target.named_parameters()}


def _task(subject: Subject) -> tuple[nn.Module, Dataset]:
    own = getattr(subject.cls, "example_task", None)
    return own() if own else (Subject("solvers", LearnedFilter).build(torch.float32), _Measured())


CHECKS = (
    trains_repeatably,
    goes_on_from_its_checkpoint,
    loss_falls,
    goes_on_after_an_interruption,
    returns_what_it_trained,
    leaves_frozen_parameters_alone,
    draws_no_global_random_numbers,
)
