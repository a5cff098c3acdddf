"""Stochastic gradient descent over blocks of the measurement, with variance reduction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed import InputError, Iteration, LinearOperator, Problem, State, bookkeeping
from wellposed.memo import OperatorMemo
from wellposed.operator import RowBlock

from .composite import descend, refuse_step
from .constants import fidelity_smoothness, given_or, keep_step, reciprocal, samples, start_image
from .row_blocks import block_gradient, block_norms, row_blocks


@dataclass(frozen=True)
class StochasticState(State):
    """The image, and with variance reduction `A x̃` and the data term's gradient at the epoch's anchor `x̃`.

    `count`, of the blocks used so far, lives on the CPU.
    """

    x: Tensor
    projection: tuple[Tensor, ...]
    slope: tuple[Tensor, ...]
    step_size: Tensor = bookkeeping()
    count: Tensor = bookkeeping()


class StochasticGradient(Iteration[StochasticState]):
    """`x ← x − s (d_b + ∇R(x)/n)`, one of `n` blocks `b` of the measurement a step.

    With `f_b = D_b(A_b x, y_b)`, `d_b = ∇f_b(x) − ∇f_b(x̃) + ∇f(x̃)/n`, the anchor `x̃` being the image at the
    start of the epoch; that converges with constant steps and costs one `A` and `A*` more per epoch.
    Without `variance_reduction` `d_b = ∇f_b(x)`, and `s = s_0/(1 + decay·epoch)` has to fall for the image
    to settle. Images `(B, *domain.shape)`; the fidelity is a sum over bins, as every registered one is.

    Each epoch visits all `blocks` once in an order drawn from `seed` and its number. By default
    `s_0 = 1/max_b(‖A_b‖² L_D + L_R/n)`, half of it with variance reduction; or give `step_size`, a
    number, `(B,)` or a learned parameter.

    Raises `CompositionError` where the regularizer has no gradient or no step size is known, `InputError`
    where the operator has too few rows. Sources: Robbins and Monro 1951; Johnson and Zhang 2013 (SVRG);
    Mishchenko, Khaled and Richtárik 2020 (orders without replacement).
    """

    source = "Robbins and Monro 1951; Johnson and Zhang 2013 (SVRG); Mishchenko, Khaled and Richtárik 2020"
    requires = frozenset({"grad"})
    stationary = False

    def __init__(
        self,
        blocks: int = 10,
        step_size: float | Tensor | None = None,
        variance_reduction: bool = True,
        decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise InputError(f"StochasticGradient needs at least one block; got {blocks}")
        if decay < 0:
            raise InputError(f"StochasticGradient's decay must be ≥ 0; got {decay}")
        keep_step(self, "step_size", step_size)
        self.blocks, self.variance_reduction = int(blocks), variance_reduction
        self.decay, self.seed = float(decay), int(seed)
        self.memo = OperatorMemo()

    step_size: float | Tensor | None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"blocks": 4}, {"blocks": 2, "seed": 1})

    def check(self, problem: Problem) -> None:
        super().check(problem)
        assert isinstance(problem.operator, LinearOperator), "refused above"
        problem.operator.row_blocks(self.blocks)
        prior = problem.regularizer.smoothness_on(problem.zeros())
        if self.step_size is None and (fidelity_smoothness(problem) is None or prior is None):
            raise refuse_step(self, problem, (problem.regularizer,))

    def init(self, problem: Problem, x: Tensor | None = None) -> StochasticState:
        x = start_image(problem, x)
        count = torch.zeros(len(x), dtype=torch.long)
        anchor = self._anchor(problem, x)
        return StochasticState(x, *anchor, self._first_step(problem, x), count)

    def step(self, problem: Problem, state: StochasticState) -> StochasticState:
        epoch, position = divmod(int(state.count[0]), self.blocks)
        if position == 0 and epoch > 0:
            projection, slope = self._anchor(problem, state.x)
            state = replace(state, projection=projection, slope=slope)
        block = self._blocks(problem, state.x)[self._order(epoch)[position]]
        gradient = self._direction(problem, block, state)
        gradient = gradient + problem.regularizer.grad(state.x) / self.blocks
        step = given_or(self.step_size, state.step_size)
        x = descend(state.x, gradient, step / (1 + self.decay * epoch))
        return replace(state, x=x, count=state.count + 1)

    def _direction(self, problem: Problem, block: RowBlock, state: StochasticState) -> Tensor:
        residual = block_gradient(problem, block, block(state.x))
        if not state.projection:
            return block.adjoint(residual)
        there = block_gradient(problem, block, block.restrict(state.projection[0]))
        return block.adjoint(residual - there) + state.slope[0] / self.blocks

    def _anchor(self, problem: Problem, x: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        if not self.variance_reduction:
            return (), ()
        projection = problem.operator(x)
        slope = problem.operator.vjp(x, problem.fidelity.gradient(projection, problem.measurement))
        return (projection,), (slope,)

    def _first_step(self, problem: Problem, x: Tensor) -> Tensor:
        if self.step_size is not None:
            return samples(self.step_size, x).detach()
        smoothness = fidelity_smoothness(problem)
        prior = problem.regularizer.smoothness_on(x)
        assert smoothness is not None, "refused by check"
        assert prior is not None, "refused by check"
        largest = float(block_norms(self._blocks(problem, x)).max())
        total = samples(smoothness, x).detach() * largest + prior / self.blocks
        return reciprocal(total) * (0.5 if self.variance_reduction else 1.0)

    def _order(self, epoch: int) -> list[int]:
        # The generator reads 32 bits of its seed; the multipliers spread both numbers over them.
        mixed = (0x9E3779B1 * self.seed + 0x85EBCA77 * epoch) % 2**32
        generator = torch.Generator().manual_seed(mixed)
        return torch.randperm(self.blocks, generator=generator).tolist()

    def _blocks(self, problem: Problem, like: Tensor) -> list[RowBlock]:
        assert isinstance(problem.operator, LinearOperator), "refused by check"
        return row_blocks(problem.operator, self.blocks, like, self.memo)
