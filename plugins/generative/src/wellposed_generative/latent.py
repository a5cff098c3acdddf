"""Quasi-Newton descent in latent vectors, each of a batch with a metric and a step length of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wellposed.space import inner, norm

_TRIALS, _SHRINK, _SUFFICIENT = 16, 0.25, 1e-4


def first_metric(z: Tensor) -> Tensor:
    """The identity for each vector `(N, d)`: the inverse Hessian of the prior alone."""
    return torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1).clone()


def updated_metric(metric: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """BFGS: `M⁺ = (I − ρ s yᵀ) M (I − ρ y sᵀ) + ρ s sᵀ`, `ρ = 1/<s, y>`, where the curvature is positive.

    The very first update scales the identity to `<s, y>/<y, y>` before. Nocedal and Wright 2006, eqs. (6.17), (6.20).
    """
    curvature = inner(s, y)
    usable = curvature > 1e-10 * norm(s) * norm(y)
    safe = torch.where(usable, curvature, 1.0)
    rho = torch.where(usable, 1.0 / safe, 0.0)[:, None, None]
    eye = torch.eye(s.shape[1], dtype=s.dtype, device=s.device)
    fresh = usable & (metric == eye).flatten(1).all(1)
    size = torch.where(fresh, safe / inner(y, y).clamp_min(torch.finfo(y.dtype).tiny), 1.0)[:, None, None]
    left = eye - rho * s[:, :, None] * y[:, None, :]
    return torch.where(
        usable[:, None, None], left @ (size * metric) @ left.mT + rho * s[:, :, None] * s[:, None, :], metric
    )


def direction(metric: Tensor, gradient: Tensor) -> Tensor:
    """`−M g`, no longer than `√d`: what the prior calls far."""
    step = -torch.einsum("nij,nj->ni", metric, gradient)
    return step * (step.shape[1] ** 0.5 / norm(step).clamp_min(step.shape[1] ** 0.5))[:, None]


def backtrack(
    attempt: Callable[[Tensor], tuple[Tensor, Tensor]],
    z: Tensor,
    carried: Tensor,
    value: Tensor,
    step: Tensor,
    slope: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The first of `z + t·step`, `t = 1, ¼, …`, that is sufficiently better (Armijo), for each vector.

    `attempt(z)` gives values and what belongs to them; returned are vectors, their belongings and values, and which
    have moved. One that finds nothing better stays, with what it `carried`. Nocedal and Wright 2006, algorithm 3.1.
    """
    rounding = 4 * torch.finfo(z.dtype).eps * (1 + value.abs())
    length = torch.ones_like(value)
    moved = slope >= 0  # not a descent direction, or at rest: nothing is tried
    still = moved.clone()
    found = z
    for trial in range(_TRIALS):
        if trial and bool(moved.all()):  # a GPU is waited for here, so not before the first
            break
        tried = torch.where(moved[:, None], found, z + length[:, None] * step)
        better, belongs = attempt(tried)
        good = ~moved & (better <= value + _SUFFICIENT * length * slope + rounding)
        found = torch.where(good[:, None], tried, found)
        carried = torch.where(good.reshape(-1, *[1] * (carried.ndim - 1)), belongs, carried)
        value = torch.where(good, better, value)
        moved, length = moved | good, length * _SHRINK
    return found, carried, value, moved & ~still


def value_and_gradient(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Values `(N,)` and gradients `(N, d)`, both without a graph."""
    with torch.enable_grad():
        point = z.detach().requires_grad_()
        value = function(point)
        (gradient,) = torch.autograd.grad(value.sum(), point)
    return value.detach(), gradient


def minimise(function: Callable[[Tensor], Tensor], z: Tensor, steps: int) -> Tensor:
    """A local minimum of `function`, values `(N,)` of vectors `(N, d)`, by at most `steps` steps of BFGS from `z`."""
    metric = first_metric(z)
    value, gradient = value_and_gradient(function, z)
    active = torch.ones_like(value, dtype=torch.bool)
    for _ in range(steps):
        # The gradient is a difference of numbers as large as the value: below its rounding there is nothing to find.
        active = active & (norm(gradient) > 100 * torch.finfo(z.dtype).eps * (1 + value.abs()))
        if not bool(active.any()):
            break
        step = torch.where(active[:, None], direction(metric, gradient), 0.0)

        def attempt(p: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                return function(p), p

        after, _, _, moved = backtrack(attempt, z, z, value, step, inner(step, gradient))
        value, slope = value_and_gradient(function, after)
        metric = updated_metric(metric, after - z, slope - gradient)
        z, gradient, active = after, slope, active & moved
    return z
