"""The linearized Bregman iteration."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from wellposed import Iteration, LinearOperator, Problem, State, bookkeeping

from .composite import descend, refuse_step
from .constants import data_smoothness, given_or, keep_step, reciprocal, samples, start_image


@dataclass(frozen=True)
class BregmanState(State):
    """The image `x = prox_{δR}(δ v)` and the dual image `v`."""

    x: Tensor
    dual: Tensor
    step_size: Tensor = bookkeeping()


class LinearizedBregman(Iteration[BregmanState]):
    """`v ← v − s A*∇D(Ax, y)`, `x ← prox_{δR}(δ v)`; images `(B, *domain.shape)`.

    Goes to the solution of `A x = y` with the least `R(x) + ‖x‖²/(2δ)`, δ the number `delta`; for
    `R = ‖·‖₁` and δ of about ten times the largest value of the image that is the one of least `R`. On
    noisy data it regularizes by being stopped early (`discrepancy`). A weight of `R` acts against δ.
    By default `s = 1/(δ L)` with `L` the Lipschitz constant of the data term's gradient; or give `step_size`.
    A start image `x₀` enters as `v₀ = A*A x₀/(δ‖A‖²)`, in the range of `A*`, which keeps the limit.

    Raises `CompositionError` where the regularizer has no proximal map or no step size is known.
    Sources: Yin, Osher, Goldfarb and Darbon 2008, eq. (2.7); Lai and Yin 2013 (choice of δ).
    """

    source = "Yin, Osher, Goldfarb and Darbon 2008, Bregman iterative algorithms for l1-minimization, section 5"
    requires = frozenset({"prox"})
    solves = "data"

    def __init__(self, delta: float = 10.0, step_size: float | Tensor | None = None) -> None:
        super().__init__()
        keep_step(self, "delta", delta)
        keep_step(self, "step_size", step_size)

    delta: float
    step_size: float | Tensor | None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"delta": 1.0})

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if self.step_size is None and data_smoothness(problem, problem.zeros()) is None:
            raise refuse_step(self, problem, ())

    def init(self, problem: Problem, x: Tensor | None = None) -> BregmanState:
        x = start_image(problem, x)
        assert isinstance(problem.operator, LinearOperator), "refused by check"
        size = problem.operator.norm() ** 2
        dual = problem.operator.gram(x) / (self.delta * size if size > 0 else 1.0)
        return BregmanState(problem.regularizer.prox(self.delta * dual, self.delta), dual, self._first_step(problem, x))

    def step(self, problem: Problem, state: BregmanState) -> BregmanState:
        step = given_or(self.step_size, state.step_size)
        dual = descend(state.dual, problem.data_gradient(state.x), step)
        return replace(state, x=problem.regularizer.prox(self.delta * dual, self.delta), dual=dual)

    def _first_step(self, problem: Problem, x: Tensor) -> Tensor:
        if self.step_size is not None:
            return samples(self.step_size, x).detach()
        smoothness = data_smoothness(problem, x)
        assert smoothness is not None, "refused by check"
        return reciprocal(smoothness.detach()) / self.delta
