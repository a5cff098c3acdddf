"""What every acceleration promises: the same fixed point, no slower, sample by sample, without side effects."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..acceleration import Acceleration, NoAcceleration
from ..space import norm
from ..state import State
from .doubles import GradientStep, Image, QuadraticRegularizer
from .measure import at_most, relative, same_tensor, that
from .problems import Posed, least_squares
from .promise import check
from .subject import Subject


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


def _taken(posed: Posed, i: int) -> Posed:
    index = torch.tensor([i])
    return Posed(posed.problem.take(index), posed.solution[index])


def _tensors(memory: Any) -> list[Tensor]:
    return memory.tensors(bookkeeping=True) if isinstance(memory, State) else []


CHECKS = (reaches_the_fixed_point, treats_samples_independently, memory_is_a_state, changes_nothing_in_place)
