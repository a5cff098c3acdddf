"""Iterations: the one form in which every algorithm of this house is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Literal, TypeVar

from torch import Tensor

from .errors import CompositionError
from .module import ComponentModule
from .operator import LinearOperator
from .problem import Problem
from .regularizer import Capability, Regularizer
from .state import State

S = TypeVar("S", bound=State)


class Iteration(ComponentModule, Generic[S]):
    """A map `T(x; y, θ)` on states: `init`, `step` (pure), `estimate`, and optionally certificates.

    `requires` are the regularizer capabilities that the step uses; composing it with a regularizer
    that lacks one is refused before any work is done. `stationary` says whether the map is the same
    at every step (accelerations and equilibrium gradients need that), `differentiable` whether a tape
    through its steps means anything (a line search cuts it). `linear_only` says whether it
    needs the operator's adjoint. `solves` says what it goes to: the minimiser of the "objective"
    `D(A(x), y) + R(x)`, or a solution of `A x = y` ("data": row-action and other methods that are
    stopped early, or take from all solutions the one that the regularizer prefers).
    """

    requires: frozenset[Capability] = frozenset()
    stationary: bool = True
    differentiable: bool = True
    linear_only: bool = True
    solves: Literal["objective", "data"] = "objective"

    def check(self, problem: Problem) -> None:
        """Raise `CompositionError` where this iteration cannot work on `problem`.

        The driver adds the names of the registered iterations that can.
        """
        missing = self.requires - problem.regularizer.capabilities
        if missing:
            raise lacks(self, problem.regularizer, missing)
        if self.linear_only and not isinstance(problem.operator, LinearOperator):
            raise CompositionError(
                f"{type(self).__name__} needs a linear operator; {type(problem.operator).__name__} is not linear"
            )

    def init(self, problem: Problem, x: Tensor | None = None) -> S:
        """The first state, from the image `x` (default: zero)."""
        raise NotImplementedError

    def step(self, problem: Problem, state: S) -> S:
        """One application of the map; never changes its arguments."""
        raise NotImplementedError

    def estimate(self, state: S) -> Tensor:
        """The image that the state stands for, `(B, *domain.shape)`."""
        return state.tensors()[0]

    def error_bound(self, problem: Problem, state: S) -> Tensor | None:
        """A certified bound on `‖estimate − solution‖` of each sample, `(B,)`; `None` where none holds.

        It accounts for all that is inexact: proximal maps that iterate, rounding, steps that were cut short.
        """
        return None

    def certifies(self, problem: Problem) -> bool:
        """Whether `error_bound` exists on `problem`: known before any step, so that who needs it is refused then."""
        return type(self).error_bound is not Iteration.error_bound

    def stalled(self, problem: Problem, state: S) -> Tensor | None:
        """Samples that no longer move though they are no solution, `(B,)` bool: a step that has collapsed.

        Asked once, at the end of a run, of samples whose image stood still. `None` where it is not known.
        """
        return None

    def training_penalty(self, problem: Problem, state: S) -> Tensor | None:
        """What training adds to the loss of each sample, `(B,)`, for a wish that the image does not show.

        ISTA-Net wishes its transforms to be inverse to each other. `None`, the default, adds nothing.
        """
        return None

    def duality_gap(self, problem: Problem, state: S, radius: float | None = None) -> Tensor | None:
        """Primal minus dual objective of each sample, `(B,) ≥ 0`; `None` where it is not available.

        It bounds `objective − minimum`: infinite where the dual point is not feasible. With a `radius` known
        beforehand, `‖x*‖ ≤ radius`, an infeasible dual point has a finite gap too, over that ball.
        """
        return None

    def has_duality_gap(self, problem: Problem, radius: float | None = None) -> bool:
        """Whether `duality_gap` can become finite on `problem`: known before any step."""
        return type(self).duality_gap is not Iteration.duality_gap


def lacks(iteration: Iteration, regularizer: Regularizer, missing: Iterable[Capability]) -> CompositionError:
    """What `iteration` needs of a regularizer that `regularizer` does not have."""
    have = ", ".join(sorted(regularizer.capabilities)) or "nothing"
    return CompositionError(
        f"{type(iteration).__name__} needs a regularizer with {', '.join(sorted(missing))}; "
        f"{type(regularizer).__name__} declares {have}"
    )
