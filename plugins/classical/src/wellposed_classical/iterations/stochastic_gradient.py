"""Stochastic gradient descent over blocks of the measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from wellposed import InputError, Iteration, LinearOperator, Problem, State, bookkeeping
from wellposed.operator import RowBlock

from .composite import descend, refuse_step
from .constants import keep_step, reciprocal, samples, start_image
from .memo import OperatorMemo
from .row_blocks import block_gradient, block_norms, row_blocks


@dataclass(frozen=True)
class StochasticState(State):
    """The image, the first step size and how many blocks were used; the count lives on the CPU."""

    x: Tensor
    step_size: Tensor = bookkeeping()
    count: Tensor = bookkeeping()


class StochasticGradient(Iteration[StochasticState]):
    """`x ← x − s_k (A_b*∇D_b(A_b x, y_b) + ∇R(x)/n)` with one of `n` blocks `b` of the measurement a step.

    Images `(B, *domain.shape)`; the fidelity is a sum over bins, as every registered one is. Each epoch
    visits all `blocks` once: every other one in an order drawn from `seed` and its number, the next one
    backwards, which cancels the leading error of the order. Step sizes `s_k = s_0/(1 + decay·e)` in epoch
    `e`; `decay` 0 keeps them, which reaches a neighbourhood of the minimiser, others converge. By default `s_0 = 1/max_b(‖A_b‖² L_D + L_R/n)`; or give
    `step_size`, a number, `(B,)` or a learned parameter.

    Raises `CompositionError` where the regularizer has no gradient or no step size is known, `InputError`
    where the operator has too few rows. Sources: Robbins and Monro 1951; Rajput, Lee and
    Papailiopoulos 2022, Permutation-based SGD: is random optimal? (orders).
    """

    source = "Robbins and Monro 1951; Rajput, Lee and Papailiopoulos 2022, Permutation-based SGD (FlipFlop)"
    requires = frozenset({"grad"})
    stationary = False

    def __init__(
        self, blocks: int = 10, step_size: float | Tensor | None = None, decay: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise InputError(f"StochasticGradient needs at least one block; got {blocks}")
        if decay < 0:
            raise InputError(f"StochasticGradient's decay must be ≥ 0; got {decay}")
        keep_step(self, "step_size", step_size)
        self.blocks, self.decay, self.seed = int(blocks), float(decay), int(seed)
        self.memo = OperatorMemo()

    step_size: float | Tensor | None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"blocks": 4}, {"blocks": 2, "decay": 0.5, "seed": 1})

    def check(self, problem: Problem) -> None:
        super().check(problem)
        assert isinstance(problem.operator, LinearOperator), "refused above"
        problem.operator.row_blocks(self.blocks)
        constants = problem.fidelity.smoothness(problem.measurement), self._prior(problem, problem.zeros())
        if self.step_size is None and None in constants:
            raise refuse_step(self, problem, (problem.regularizer,))

    def init(self, problem: Problem, x: Tensor | None = None) -> StochasticState:
        x = start_image(problem, x)
        count = torch.zeros(len(x), dtype=torch.long)
        if self.step_size is not None:
            return StochasticState(x, samples(self.step_size, x).detach(), count)
        smoothness, prior = problem.fidelity.smoothness(problem.measurement), self._prior(problem, x)
        assert smoothness is not None, "refused by check"
        assert prior is not None, "refused by check"
        largest = float(block_norms(self._blocks(problem, x)).max())
        total = samples(smoothness, x).detach() * largest + prior / self.blocks
        return StochasticState(x, reciprocal(total), count)

    def step(self, problem: Problem, state: StochasticState) -> StochasticState:
        epoch, position = divmod(int(state.count[0]), self.blocks)
        block = self._blocks(problem, state.x)[self._order(epoch)[position]]
        gradient = block.adjoint(block_gradient(problem, block, block(state.x)))
        gradient = gradient + problem.regularizer.grad(state.x) / self.blocks
        step = state.step_size if self.step_size is None else self.step_size
        x = descend(state.x, gradient, step / (1 + self.decay * epoch))
        return replace(state, x=x, count=state.count + 1)

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed((self.seed << 32) + epoch // 2)
        order = torch.randperm(self.blocks, generator=generator).tolist()
        return order[::-1] if epoch % 2 else order

    def _blocks(self, problem: Problem, like: Tensor) -> list[RowBlock]:
        assert isinstance(problem.operator, LinearOperator), "refused by check"
        return row_blocks(problem.operator, self.blocks, like, self.memo)

    @staticmethod
    def _prior(problem: Problem, x: Tensor) -> float | None:
        return problem.regularizer.smoothness_on(x)
