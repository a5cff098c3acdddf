"""What every acceleration promises: the same fixed point, no slower, sample by sample, without side effects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..acceleration import Acceleration, NoAcceleration
from ..problem import Problem
from ..space import norm
from ..state import State, bookkeeping
from .doubles import GradientStep, Image, QuadraticFidelity, QuadraticRegularizer
from .measure import at_most, generator, relative, same_tensor, that
from .problems import Posed, least_squares
from .promise import check
from .subject import Subject
from .terms import DiagonalOperator


class Run:
    """An accelerated gradient descent that counts the applications of the map."""

    def __init__(self, acceleration: Acceleration, posed: Posed) -> None:
        self.acceleration, self.posed = acceleration, posed
        self.iteration, self.applications = GradientStep(), 0
        self.state: Image = self.iteration.init(posed.problem)
        self.memory: Any = acceleration.init(self.state)

    def advance(self, steps: int = 1) -> Run:
        for _ in range(steps):
            self.state, self.memory = self.acceleration.advance(self.apply, self.state, self.memory)
        return self

    def apply(self, state: Image) -> Image:
        self.applications += 1
        return self.iteration.step(self.posed.problem, state)

    @property
    def distance(self) -> float:
        return float((norm(self.state.x - self.posed.solution) / norm(self.posed.solution)).max())

    def until(self, distance: float, limit: int) -> Run:
        while self.distance > distance and self.applications < limit:
            self.advance()
        return self


@check()
def reaches_the_fixed_point(subject: Subject) -> None:
    """It reaches the fixed point of gradient descent with no more applications of the map than without it."""
    posed = least_squares(QuadraticRegularizer())
    plain = Run(NoAcceleration(), posed).until(1e-8, 1000).applications
    limit = int(1.2 * plain) + 10
    run = Run(subject.build(), posed).until(1e-8, limit)
    at_most(
        run.distance,
        1e-8,
        f"{subject.label} must reach the fixed point that plain iteration reaches with {plain} applications; its "
        f"relative distance after {run.applications}",
    )


@check()
def treats_samples_independently(subject: Subject) -> None:
    """A sample's states do not depend on the others, and its memory can be taken out of the batch."""
    posed = least_squares(QuadraticRegularizer())
    together = Run(subject.build(), posed).advance(6)
    for i in range(3):
        alone = Run(subject.build(), _taken(posed, i)).advance(6)
        at_most(
            relative(together.state.x[i : i + 1], alone.state.x),
            1e-8,
            f"{subject.label} on sample {i}, alone or in a batch",
        )
    left = Run(subject.build(), _taken(posed, 2))
    index = torch.tensor([2])
    left.state = together.state.take(index)
    left.memory = together.memory.take(index) if isinstance(together.memory, State) else together.memory
    at_most(
        relative(left.advance(3).state.x, together.advance(3).state.x[index]),
        1e-8,
        f"{subject.label} for a sample whose batch shrank",
    )


@check()
def memory_is_a_state(subject: Subject) -> None:
    """The memory is `None` or a `State` of batched tensors, so that the driver can drop samples from it."""
    run = Run(subject.build(), least_squares(QuadraticRegularizer()))
    for _ in range(3):
        if run.memory is not None:
            that(isinstance(run.memory, State), f"the memory of {subject.label} must be a State")
            for tensor in run.memory.tensors(bookkeeping=True):
                that(
                    tensor.ndim >= 1 and len(tensor) == 3,
                    f"tensors in the memory of {subject.label} must start with the batch; one is {tuple(tensor.shape)}",
                )
        run.advance()


@check()
def changes_nothing_in_place(subject: Subject) -> None:
    """State and memory that go in are not written into, and the same ones give the same result."""
    run = Run(subject.build(), least_squares(QuadraticRegularizer())).advance(4)
    watched = [run.state.x, *_tensors(run.memory)]
    before = [tensor.clone() for tensor in watched]
    first, _ = run.acceleration.advance(run.apply, run.state, run.memory)
    second, _ = run.acceleration.advance(run.apply, run.state, run.memory)
    intact = all(same_tensor(a, b) for a, b in zip(watched, before, strict=True))
    that(intact, f"{subject.label} writes into its state or memory")
    that(same_tensor(first.x, second.x), f"{subject.label} keeps something outside its memory")


@check(applies=lambda cls: cls.requires_stationary is True, since="0.2")
def is_faster_where_it_matters(subject: Subject) -> None:
    """On a problem of condition number 100 it takes at most 0.7 of the applications that plain iteration takes."""
    posed = _diagonal()
    plain = Run(NoAcceleration(), posed).until(1e-6, 4000).applications
    run = Run(subject.build(), posed).until(1e-6, plain)
    at_most(
        run.applications if run.distance <= 1e-6 else float("inf"),
        0.7 * plain,
        f"applications of the map by {subject.label} to a relative distance of 1e-6; plain iteration takes {plain}",
    )


@check(since="0.2")
def is_blind_to_units(subject: Subject) -> None:
    """On data a million times as large, or as small, it does the same steps in that unit."""
    expected = Run(subject.build(), _diagonal()).advance(12).state.x
    for scale in (2.0**20, 2.0**-20):
        posed = _diagonal()
        problem = replace(posed.problem, measurement=scale * posed.problem.measurement)
        found = Run(subject.build(), Posed(problem, scale * posed.solution)).advance(12).state.x / scale
        at_most(relative(found, expected), 1e-5, f"the iterate of {subject.label} after 12 steps at scale {scale:g}")


@check(since="0.2")
def stays_at_the_fixed_point(subject: Subject) -> None:
    """Started at the fixed point, in some samples or in all, it stays there and stays finite."""
    for there in ([0, 1, 2], [1]):
        posed = _diagonal()
        run = Run(subject.build(), posed)
        start = torch.zeros_like(posed.solution)
        start[there] = posed.solution[there]
        run.state = Image(start)
        run.memory = run.acceleration.init(run.state)
        run.advance(8)
        that(bool(torch.isfinite(run.state.x).all()), f"{subject.label} is not finite after starting at a fixed point")
        left = relative(run.state.x[there], posed.solution[there])
        at_most(left, 1e-9, f"the relative distance of {subject.label} from the fixed point that it started at")


@check(since="0.2")
def works_in_float32_and_with_complex_images(subject: Subject) -> None:
    """It reaches the fixed point in float32 to its precision, and that of a complex map."""
    for posed, limit in ((_diagonal(torch.float32), 1e-3), (_complex(), 1e-6)):
        run = Run(subject.build(), posed)
        kept = run.state.x.dtype
        run.until(limit, 4000)
        that(run.state.x.dtype == kept, f"{subject.label} turns {kept} states into {run.state.x.dtype}")
        at_most(run.distance, limit, f"the relative distance of {subject.label} from the fixed point of {kept} states")


@check(since="0.2")
def finds_fixed_points_of_rotations(subject: Subject) -> None:
    """Maps need not be symmetric: the centre of a rotation, averaged with the identity, is found.

    The average is firmly nonexpansive, as the maps of splitting methods are; a rotation alone is not.
    """
    acceleration, centre = subject.build(), torch.tensor([[1.0, -2.0], [30.0, 0.0], [0.0, 0.1]], dtype=torch.float64)
    turn = 0.5 * torch.eye(2, dtype=torch.float64) + 0.45 * torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)

    def apply(state: Image) -> Image:
        return Image(centre + (state.x - centre) @ turn.T)

    state: Image = Image(torch.zeros_like(centre))
    memory = acceleration.init(state)
    for _ in range(200):
        state, memory = acceleration.advance(apply, state, memory)
    at_most(relative(state.x, centre), 1e-6, f"the relative distance of {subject.label} from the centre of a rotation")


@check(since="0.2")
def carries_bookkeeping_on(subject: Subject) -> None:
    """What a state counts beside its fixed-point tensors is taken from the map's value."""
    acceleration = subject.build()
    state = _Counted(torch.ones(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.long))
    memory = acceleration.init(state)
    for count in range(1, 5):
        state, memory = acceleration.advance(lambda s: _Counted(0.5 * s.x + 1, s.count + 1), state, memory)
        that(
            bool((state.count >= count).all()),
            f"{subject.label} loses the bookkeeping of the state: after {count} steps it counts {state.count.tolist()}",
        )


@dataclass(frozen=True)
class _Counted(State):
    """A state that counts the applications of its map."""

    x: Tensor
    count: Tensor = bookkeeping()


def _diagonal(dtype: torch.dtype = torch.float64) -> Posed:
    """A problem of condition number 100, in three samples of unlike size."""
    d = torch.logspace(-1, 0, 24, dtype=torch.float64).reshape(1, 4, 6)
    y = torch.randn((3, 1, 4, 6), generator=generator(31), dtype=torch.float64)
    y = y * torch.tensor([1.0, 100.0, 0.01], dtype=torch.float64).reshape(-1, 1, 1, 1)
    problem = Problem(DiagonalOperator(d).to(dtype), y.to(dtype), QuadraticFidelity(), QuadraticRegularizer(1e-3))
    return Posed(problem, d * y / (d**2 + 1e-3))


def _complex() -> Posed:
    d = torch.logspace(-1, 0, 24, dtype=torch.float64).reshape(1, 4, 6) * torch.exp(
        1j * torch.arange(24.0).double()
    ).reshape(1, 4, 6)
    y = torch.randn((3, 1, 4, 6), generator=generator(32), dtype=torch.complex128)
    problem = Problem(DiagonalOperator(d).to(torch.float64), y, QuadraticFidelity(), QuadraticRegularizer(1e-3))
    return Posed(problem, d.conj() * y / (d.abs() ** 2 + 1e-3))


def _taken(posed: Posed, i: int) -> Posed:
    index = torch.tensor([i])
    return Posed(posed.problem.take(index), posed.solution[index])


def _tensors(memory: Any) -> list[Tensor]:
    return memory.tensors(bookkeeping=True) if isinstance(memory, State) else []


CHECKS = (
    reaches_the_fixed_point,
    treats_samples_independently,
    memory_is_a_state,
    changes_nothing_in_place,
    is_faster_where_it_matters,
    is_blind_to_units,
    stays_at_the_fixed_point,
    works_in_float32_and_with_complex_images,
    finds_fixed_points_of_rotations,
    carries_bookkeeping_on,
)
