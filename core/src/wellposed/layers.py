"""Iterations made of layers: another map, with weights of its own, at every step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from .errors import CompositionError, InputError
from .iteration import Iteration
from .operator import Operator
from .problem import Problem
from .space import Space
from .state import State


@dataclass(frozen=True)
class LayerState(State):
    """A state that knows how many layers are behind it; `count` `(B,)` lives on the CPU."""

    count: Tensor = field(kw_only=True, metadata={"bookkeeping": True})


L = TypeVar("L", bound=LayerState)


class LayeredIteration(Iteration[L]):
    """`x ← T_k(x; y)` for k = 1 … `depth`: what unrolled networks do.

    A subclass writes `init` (with `count=no_layers(problem)`), `depth` and `layer`.
    """

    stationary = False
    solves = "data"

    @property
    def depth(self) -> int:
        """The number of layers."""
        raise NotImplementedError

    def layer(self, problem: Problem, state: L, k: int) -> L:
        """The state after layer `k`, counted from 0; its count is set by `step`."""
        raise NotImplementedError

    def step(self, problem: Problem, state: L) -> L:
        k = int(state.count[0])  # all samples of a batch are at the same layer
        if k >= self.depth:
            raise InputError(f"{type(self).__name__} was made with {self.depth} layers; it has no layer {k + 1}")
        return replace(self.layer(problem, state, k), count=state.count + 1)


def no_layers(problem: Problem) -> Tensor:
    """The count of a first state."""
    return torch.zeros(problem.batch, dtype=torch.int64)


def check_planes(owner: str, operator: Operator, what: str, space: Space, channels: int) -> None:
    """Raise `CompositionError` unless the tensors `what` of `operator` are real `(channels, rows, columns)`."""
    name = type(operator).__name__
    if space.is_complex:
        raise CompositionError(
            f"{owner} works on real tensors; the {what} of {name} are complex. Take real and imaginary part as two "
            f"channels with the operator 'complexify'"
        )
    if len(space.shape) != 3 or space.shape[0] != channels:
        raise CompositionError(
            f"this {owner} is made for {what} of shape ({channels}, rows, columns); those of {name} are {space.shape}"
        )
