"""Accelerations: how the next state is made from an application of the map and what came before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .module import ComponentModule
from .state import State

S = TypeVar("S", bound=State)


class Acceleration(ComponentModule):
    """`memory = init(state)`, then `state, memory = advance(apply, state, memory)` for each step.

    `apply(state)` is one application of the iteration map. `memory` is `None` or a `State`, so that
    the driver can drop samples that are done from it as well. `requires_stationary` refuses iterations
    whose map changes from step to step.
    """

    requires_stationary: bool = True

    def init(self, state: State) -> Any:
        return None

    def advance(self, apply: Callable[[S], S], state: S, memory: Any) -> tuple[S, Any]:
        raise NotImplementedError


class NoAcceleration(Acceleration):
    """Picard's iteration: the next state is the map's value."""

    source = "Picard iteration"
    requires_stationary = False

    def advance(self, apply: Callable[[S], S], state: S, memory: Any) -> tuple[S, Any]:
        return apply(state), memory
