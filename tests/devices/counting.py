"""How often the CPU waits for the device in each step of an iteration, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from devices.exercises import move_problem
from devices.marked import DEVICE
from devices.waits import Log, Wait
from torch import nn

from wellposed import InputError, Problem, Stop, WellposedError, solve
from wellposed.dataset import Simulated
from wellposed.iteration import Iteration
from wellposed.recipes import build
from wellposed.recipes.builder import construct
from wellposed.registry import component, registry
from wellposed.regularizer import Regularizer, Zero
from wellposed.stopping import Rule
from wellposed.testing.doubles import Bumps, GradientStep, PeriodicBlur, QuadraticRegularizer
from wellposed.testing.problems import least_squares

_SCAN = {"use": "parallel-beam", "shape": [16, 16], "angles": 8}
OPERATORS: dict[str, Any] = {
    "tomography": _SCAN,
    "resonance": {"use": "fourier", "shape": [16, 16], "mask": {"use": "cartesian-mask", "acceleration": 2.0}},
    "transmission": {"use": "beer-lambert", "operator": _SCAN},
}
KINDS = ("scalar", "shape", "download", "upload")
#: Steps before counting, when what is computed once has been, and steps counted.
_BEFORE, _STEPS = 3, 10
#: Its every value is an optimisation of its own, the same as that of the next simpler one.
_COSTLY = {"total-generalized-variation"}


@dataclass(frozen=True)
class Row:
    """The waits of one step, by place; a fraction where not every step has one."""

    what: str
    waits: dict[Wait, float]

    def of(self, kind: str) -> float:
        return sum(n for wait, n in self.waits.items() if wait.kind == kind)

    @property
    def total(self) -> float:
        return sum(self.waits.values())


def table(rows: Iterable[Row]) -> str:
    """The rows, and under them the places."""
    rows = list(rows)
    width = max(len(row.what) for row in rows)
    lines = [" " * width + "".join(f"{kind:>10}" for kind in KINDS)]
    lines += [f"{row.what:<{width}}" + "".join(f"{row.of(kind):>10.4g}" for kind in KINDS) for row in rows]
    places = Counter(wait for row in rows for wait in row.waits)
    lines += ["", *(f"{wait.kind:>9}  {wait.where}  ({n} rows)" for wait, n in sorted(places.items(), key=str))]
    return "\n".join(lines)


def between_measuring_points(what: str, log: Log, problem: Problem, iteration: Iteration, **parts: Any) -> Row:
    """A step of a run that nothing measures: no rules, no monitors."""
    return _steps(what, log, problem, iteration, Stop(_BEFORE + _STEPS), **parts)


def at_a_measuring_point(what: str, log: Log, rule: Rule) -> Row:
    """A step of gradient descent, which itself does not wait, that is measured by `rule` and goes on."""
    for name in ("tolerance", "accuracy", "noise_norm"):
        if hasattr(rule, name):
            setattr(rule, name, 1e-300)
    problem = on_device(least_squares(QuadraticRegularizer()).problem)
    return _steps(what, log, problem, GradientStep(), Stop(_BEFORE + _STEPS, [rule]))


def of_a_training_step(log: Log, solver: Callable[[], Any]) -> Row:
    """Of the supervised trainer, where nothing is logged, validated or saved."""

    def waits(steps: int) -> Counter[Wait]:
        data = Simulated(Bumps(8), PeriodicBlur((1, 8, 8)))
        trainer = component("trainers", "supervised")(steps=steps, batch=2, metrics=[], validation=0, log_every=1000)
        target = solver().to(DEVICE)
        log.clear()
        with TemporaryDirectory() as folder:
            trainer.fit(target, data.to(DEVICE, torch.float32), Path(folder))
        return log.counts()

    return Row("a training step", _share(waits(6) - waits(4), 2))


def problems_for(iteration: Iteration, operator: str = "tomography") -> Iterator[tuple[str, Problem]]:
    """Small scans with each fidelity and each regularizer that the iteration takes; its own example, if it has one."""
    own = getattr(type(iteration), "example_problem", None)
    if own is not None:
        yield "its own", own(2)
        return
    priors = [entry.name for entry in registry().entries("regularizers") if entry.name not in _COSTLY]
    fidelities = [entry.name for entry in registry().entries("fidelities")]
    for fidelity, prior in (*(("l2", prior) for prior in priors), *((fidelity, "") for fidelity in fidelities)):
        try:
            problem = scan(fidelity, prior, operator)
            solve(problem, iteration, stop=Stop(1))
        except WellposedError:
            continue
        yield f"{fidelity} {prior}".strip(), problem


def on_device(problem: Problem) -> Problem:
    return move_problem(problem, lambda thing: thing.to(DEVICE))


def scan(fidelity: str, prior: str, operator: str = "tomography") -> Problem:
    """Two small images, measured here; `prior` may be empty."""
    forward = build("operators", OPERATORS[operator]).double()
    image = forward.domain.zeros(2, dtype=torch.float64)
    image[..., 4:11, 5:12] = 0.2
    y = forward(image)
    return Problem(forward, y + 0.1, plain("fidelities", fidelity), _prior(prior))


def _prior(name: str) -> Regularizer:
    if not name:
        return Zero()
    built = plain("regularizers", name)
    try:
        return 0.01 * built
    except InputError:  # how much a learned proximal map smooths is trained
        return built


def plain(kind: str, name: str) -> Any:
    """A registered component as it is by default, or else as its first example builds it."""
    cls = component(kind, name)
    try:
        built = construct(cls, {})
    except InputError:
        built = construct(cls, next(iter(cls.examples()), {}))
    return built.double() if isinstance(built, nn.Module) else built


def _steps(what: str, log: Log, problem: Problem, iteration: Iteration, stop: Stop, **parts: Any) -> Row:
    marks: list[int] = []
    log.clear()
    solve(problem, iteration, stop=stop, observer=lambda _: marks.append(len(log.waits)), **parts)
    return Row(what, _share(Counter(log.waits[marks[_BEFORE - 1] : marks[_BEFORE + _STEPS - 1]]), _STEPS))


def _share(waits: Counter[Wait], steps: int) -> dict[Wait, float]:
    return {wait: n / steps for wait, n in waits.items()}
