"""Layers of a linear map and a threshold: what LISTA and its descendants have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from wellposed.layers import LayeredIteration, LayerState, no_layers
from wellposed.problem import Problem

from ..shrinkage import select_support


@dataclass(frozen=True)
class CodeState(LayerState):
    """The code."""

    x: Tensor


class ShrinkageLayers(LayeredIteration[CodeState]):
    """`x ← η_k(v_k(x, y))` with a threshold `θ_k` for each k; a subclass says what `v_k` is.

    `η_k` is soft thresholding by `θ_k` that lets the largest `support[k]` of the entries pass unchanged.
    `layers` hold what each step learns, and have a `threshold`; codes have any shape.
    """

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
        return CodeState(problem.zeros() if x is None else x, count=no_layers(problem))

    @property
    def depth(self) -> int:
        return len(self.layers)

    def layer(self, problem: Problem, state: CodeState, k: int) -> CodeState:
        threshold = self.layers[k].threshold
        assert isinstance(threshold, Tensor)
        return replace(state, x=select_support(self.linear(problem, k, state.x), threshold, self.support[k]))
