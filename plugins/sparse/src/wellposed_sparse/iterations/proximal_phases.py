"""Gradient steps, each followed by a learned proximal map of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from wellposed.errors import CompositionError, InputError
from wellposed.iteration import Iteration
from wellposed.operator import LinearOperator
from wellposed.problem import Problem
from wellposed.state import State, bookkeeping

from ..phases import Phase
from ..tiles import cut, join


@dataclass(frozen=True)
class PhaseState(State):
    """The image, the asymmetry summed over the phases so far `(B,)`, and their number, on the CPU."""

    x: Tensor
    asymmetry: Tensor = bookkeeping()
    count: Tensor = bookkeeping()


class ProximalPhases(Iteration[PhaseState]):
    """`x ← P_k(x − λ_k A*(A x − y))` with `A` scaled to norm 1, and a learned `λ_k` and `P_k` for each k.

    Images `(B, channels, rows, columns)`. `tile`: the phases see square tiles of the image alone, as if each was
    an image of its own; without it the whole. `symmetry_weight`: what training adds to the loss of a sample is
    this times the asymmetry of the phases.
    """

    source = "Zhang & Ghanem 2018, ISTA-Net, CVPR, equations 5 and 16"
    stationary = False
    solves = "data"

    def __init__(
        self, phases: Sequence[Phase], channels: int, step_size: float, symmetry_weight: float, tile: int | None
    ) -> None:
        super().__init__()
        self.phases = nn.ModuleList(phases)
        self.step_sizes = nn.Parameter(torch.full((len(phases),), step_size))
        self.channels, self.symmetry_weight, self.tile = channels, symmetry_weight, tile

    def check(self, problem: Problem) -> None:
        super().check(problem)
        operator = problem.operator
        if operator.domain.is_complex:
            raise CompositionError(
                f"the network works on real images; those of {type(operator).__name__} are complex. Put the operator "
                f"'complexify' before it"
            )
        shape = operator.domain.shape
        if len(shape) != 3 or shape[0] != self.channels:
            raise CompositionError(
                f"this network is made for images ({self.channels}, rows, columns); those of "
                f"{type(operator).__name__} are {shape}"
            )

    def init(self, problem: Problem, x: Tensor | None = None) -> PhaseState:
        x = problem.zeros() if x is None else x
        count = torch.zeros(problem.batch, dtype=torch.int64)
        return PhaseState(x, x.new_zeros(problem.batch), count)

    def step(self, problem: Problem, state: PhaseState) -> PhaseState:
        k = int(state.count[0])  # all samples of a batch are at the same phase
        if k >= len(self.phases):
            raise InputError(f"this network was made with {len(self.phases)} phases; it has no phase {k + 1}")
        operator = problem.operator
        assert isinstance(operator, LinearOperator)  # checked before the first step
        residual = operator(state.x) - problem.measurement
        r = state.x - self.step_sizes[k] * (operator.adjoint(residual) * operator.norm() ** -2)
        x, asymmetry = self._phase(k, r)
        total = state.asymmetry if asymmetry is None else state.asymmetry + asymmetry
        return replace(state, x=x, asymmetry=total, count=state.count + 1)

    def training_penalty(self, problem: Problem, state: PhaseState) -> Tensor | None:
        return self.symmetry_weight * state.asymmetry if self.training else None

    def _phase(self, k: int, r: Tensor) -> tuple[Tensor, Tensor | None]:
        phase = self.phases[k]
        if self.tile is None:
            return phase(r)
        tiles = cut(r, self.tile)
        x, asymmetry = phase(tiles.flatten(0, 2))
        joined = join(x.unflatten(0, tiles.shape[:3]), (r.shape[-2], r.shape[-1]))
        return joined, None if asymmetry is None else asymmetry.view(len(r), -1).mean(1)
