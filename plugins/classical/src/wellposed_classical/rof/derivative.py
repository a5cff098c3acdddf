"""The derivative of total-variation denoising, without a tape.

`prox(y, w) = argmin_x w·TV(x) + ½‖x − y‖²` is the gradient of a convex function of `y` (Moreau 1965), so
its Jacobian `J` is symmetric: the vector–Jacobian product is a derivative in the direction of the
vector, carried forward along the iteration at constant memory. And `TV` is positively homogeneous,
`prox(y, w) = w·prox(y/w, 1)`, so that `w·∂x/∂w = x − J y`.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..differences import Differences
from .denoise import Denoised, denoise
from .engine import Coupling, steps

#: The derivative converges after the iterate; it is carried this many times as far.
_FURTHER = 3


class DifferentiableDenoise(torch.autograd.Function):
    """`(y, weight, coupling, tolerance, limit) → (image, gap, iterations)` of `denoise`, differentiable once."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, weight: Tensor, coupling: Coupling, tolerance: float, limit: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        solved: Denoised = denoise(y, weight, coupling, tolerance, limit)
        ctx.coupling, ctx.count = coupling, min(_FURTHER * int(solved.iterations.max()), max(limit, 1))
        ctx.save_for_backward(y, weight, solved.image)
        ctx.mark_non_differentiable(solved.gap, solved.iterations)
        return solved.image, solved.gap, solved.iterations

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, None, None, None]:
        y, weight, image = ctx.saved_tensors
        v = grads[0]
        scale = weight.clamp_min(torch.finfo(y.dtype).tiny).reshape(-1, *[1] * (y.ndim - 1))
        on_y = directional_derivative(y / scale, v, ctx.coupling, ctx.count)
        on_y = torch.where(weight.reshape(scale.shape) > 0, on_y, v)
        on_weight = ((v * image - on_y * y) / scale).flatten(1).sum(1)
        return on_y, on_weight, None, None, None


def directional_derivative(y: Tensor, v: Tensor, coupling: Coupling, iterations: int) -> Tensor:
    """`J(y) v` for weight 1, from `iterations` steps of the iteration and its forward derivative."""
    with torch.no_grad(), forward_ad.dual_level():
        x = _iterate(forward_ad.make_dual(y, v.contiguous()), coupling, iterations)
        tangent = forward_ad.unpack_dual(x).tangent
        return torch.zeros_like(y) if tangent is None else tangent


def _iterate(y: Tensor, coupling: Coupling, count: int) -> Tensor:
    """The iteration of `engine`, one tensor per result."""
    gradient = Differences()
    axes = y.ndim - 2
    x = ahead = y
    p = gradient(y) * 0.0
    for step in islice(steps(axes), count):
        p = p + step.sigma * gradient(ahead)
        squares = p.square().sum((1, 2) if coupling == "isotropic" else 2, keepdim=True)
        p = p * squares.clamp_min(1).rsqrt()
        change = y - gradient.adjoint(p) - x
        ahead = x + step.extrapolate * change
        x = x + step.relax * change
    return x
