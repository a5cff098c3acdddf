"""The derivative of the proximal map of a seminorm, without a tape.

`prox(y, w) = argmin_x w·R(x) + ½‖x − y‖²` is the gradient of a convex function of `y` (Moreau 1965), so its
Jacobian `J` is symmetric: the vector–Jacobian product is a derivative in the direction of the vector,
carried forward along the iteration at constant memory. And where `R` is positively homogeneous,
`prox(y, w) = w·prox(y/w, 1)`, so that `w·∂x/∂w = x − J y`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..differences import Differences
from .batch import Solved
from .step_sizes import Coupling, Steps

#: The derivative converges after the iterate; it is carried this many times as far.
_FURTHER = 3

#: `solve(y, weight)`, and `iterate(y, count)`: the estimate for weight 1 after `count` iterations that
#: write nothing in place.
Solve = Callable[[Tensor, Tensor], Solved]
Iterate = Callable[[Tensor, int], Tensor]


def differentiable_prox(y: Tensor, weight: Tensor, solve: Solve, iterate: Iterate) -> tuple[Tensor, Tensor]:
    """`solve(y, weight)` as `(image, gap)`, differentiable once in both arguments."""
    return _Proximal.apply(y, weight, solve, iterate)  # type: ignore[no-any-return]


class _Proximal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor, solve: Solve, iterate: Iterate) -> tuple[Tensor, Tensor]:
        solved = solve(y, weight)
        ctx.iterate, ctx.count = iterate, solved.iterations
        ctx.save_for_backward(y, weight, solved.results[0])
        ctx.mark_non_differentiable(solved.gap)
        return solved.results[0], solved.gap

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        y, weight, image = ctx.saved_tensors
        column = (-1, *[1] * (y.ndim - 1))
        works = (weight > 0).reshape(column)
        scale = torch.where(works, weight.reshape(column), 1.0)
        along = directional_derivative(y / scale, grads[0], ctx.iterate, _FURTHER * int(ctx.count.max()))
        on_y = torch.where(works, along, grads[0])
        on_weight = ((grads[0] * image - on_y * y) / scale).flatten(1).sum(1)
        return on_y, on_weight, None, None


def directional_derivative(y: Tensor, v: Tensor, iterate: Iterate, count: int) -> Tensor:
    """`J(y) v` for weight 1, by `count` iterations and their forward derivative."""
    with torch.no_grad(), forward_ad.dual_level():
        x = iterate(forward_ad.make_dual(y, v.contiguous()), count)
        tangent = forward_ad.unpack_dual(x).tangent
        return torch.zeros_like(y) if tangent is None else tangent


def total_variation_iterate(coupling: Coupling) -> Iterate:
    """The iteration of `step_sizes` with a new tensor for every result."""

    def iterate(y: Tensor, count: int) -> Tensor:
        gradient = Differences()
        x = ahead = y
        p = torch.zeros_like(gradient(y))
        for step in Steps(y.ndim - 2).take(count):
            p = p + step.sigma * gradient(ahead)
            squares = p.square().sum((1, 2) if coupling == "isotropic" else 2, keepdim=True)
            p = p * squares.clamp_min(1).rsqrt()
            change = y - gradient.adjoint(p) - x
            ahead = x + step.extrapolate * change
            x = x + step.relax * change
        return x

    return iterate
