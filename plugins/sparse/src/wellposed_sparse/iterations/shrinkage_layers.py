"""Layers of a linear map and a threshold: what LISTA and its descendants have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wellposed.errors import InputError
from wellposed.iteration import Iteration
from wellposed.problem import Problem
from wellposed.state import State, bookkeeping

from ..shrinkage import select_support


@dataclass(frozen=True)
class CodeState(State):
    """The code and the number of layers so far, on the CPU."""

    x: Tensor
    count: Tensor = bookkeeping()


class ShrinkageLayers(Iteration[CodeState]):
    """`x ← η_k(v_k(x, y))` with a threshold `θ_k` for each k; a subclass says what `v_k` is.

    `η_k` is soft thresholding by `θ_k` that lets the largest `support[k]` of the entries pass unchanged.
    `layers` hold what each step learns, and have a `threshold`; codes have any shape.
    """

    stationary = False
    solves = "data"

    def __init__(self, layers: Sequence[nn.Module], support: Sequence[float]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.support = tuple(support)

    def linear(self, problem: Problem, k: int, x: Tensor) -> Tensor:
        """What layer k (from 0) thresholds, like `x`."""
        raise NotImplementedError

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        return [list(layer.parameters()) for layer in self.layers]

    def init(self, problem: Problem, x: Tensor | None = None) -> CodeState:
        count = torch.zeros(problem.batch, dtype=torch.int64)
        return CodeState(problem.zeros() if x is None else x, count)

    def step(self, problem: Problem, state: CodeState) -> CodeState:
        k = int(state.count[0])  # all samples of a batch are at the same layer
        if k >= len(self.layers):
            raise InputError(f"this network was made with {len(self.layers)} layers; it has no layer {k + 1}")
        threshold = self.layers[k].threshold
        assert isinstance(threshold, Tensor)
        x = select_support(self.linear(problem, k, state.x), threshold, self.support[k])
        return CodeState(x, state.count + 1)
