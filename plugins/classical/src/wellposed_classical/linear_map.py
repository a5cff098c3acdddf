"""Linear maps under automatic differentiation: the derivative is the map itself, the gradient its adjoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def linear_map(x: Tensor, apply: Map, transpose: Map) -> Tensor:
    """`apply(x)`, differentiable to any order in both modes; nothing is stored for the backward pass.

    Both maps may work in place inside and must be each other's adjoint in the real inner product.
    """
    return _LinearMap.apply(x, apply, transpose)  # type: ignore[no-any-return]


class _LinearMap(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, apply: Map, transpose: Map) -> Tensor:
        return apply(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, ctx.apply_map, ctx.transpose = inputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return linear_map(grads[0], ctx.transpose, ctx.apply_map), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return linear_map(tangents[0], ctx.apply_map, ctx.transpose)
