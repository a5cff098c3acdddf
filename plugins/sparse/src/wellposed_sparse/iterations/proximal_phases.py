"""Gradient steps, each followed by a learned proximal map of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from wellposed.layers import LayeredIteration, LayerState, check_planes, no_layers
from wellposed.linear_algebra import inverse_norm
from wellposed.operator import LinearOperator
from wellposed.problem import Problem
from wellposed.state import bookkeeping

from ..phases import Phase
from ..tiles import cut, join


@dataclass(frozen=True)
class PhaseState(LayerState):
    """The image, and the asymmetry summed over the phases so far `(B,)`."""

    x: Tensor
    asymmetry: Tensor = bookkeeping()


class ProximalPhases(LayeredIteration[PhaseState]):
    """`x ← P_k(x − λ_k A*(A x − y))` with `A` scaled to norm 1, and a learned `λ_k` and `P_k` for each k.

    Images `(B, channels, rows, columns)`. `tile`: the phases see square tiles of the image alone, as if each was
    an image of its own; without it the whole. `symmetry_weight`: what training adds to the loss of a sample is
    this times the asymmetry of the phases.
    """

    source = "Zhang & Ghanem 2018, ISTA-Net, CVPR, equations 5 and 16"

    def __init__(
        self, phases: Sequence[Phase], channels: int, step_size: float, symmetry_weight: float, tile: int | None
    ) -> None:
        super().__init__()
        self.phases = nn.ModuleList(phases)
        self.step_sizes = nn.Parameter(torch.full((len(phases),), step_size))
        self.channels, self.symmetry_weight, self.tile = channels, symmetry_weight, tile

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_planes("ista-net-plus", problem.operator, "images", problem.operator.domain, self.channels)

    def init(self, problem: Problem, x: Tensor | None = None) -> PhaseState:
        x = problem.zeros() if x is None else x
        return PhaseState(x, x.new_zeros(problem.batch), count=no_layers(problem))

    @property
    def depth(self) -> int:
        return len(self.phases)

    def layer(self, problem: Problem, state: PhaseState, k: int) -> PhaseState:
        operator = problem.operator
        assert isinstance(operator, LinearOperator)  # checked before the first step
        residual = operator(state.x) - problem.measurement
        r = state.x - self.step_sizes[k] * (operator.adjoint(residual) * inverse_norm(operator) ** 2)
        x, asymmetry = self._phase(k, r)
        total = state.asymmetry if asymmetry is None else state.asymmetry + asymmetry
        return replace(state, x=x, asymmetry=total)

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
