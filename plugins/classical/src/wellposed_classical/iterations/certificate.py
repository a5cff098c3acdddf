"""Certified distances to the solution, from the contraction of a fixed-point map."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import LinearOperator, Problem
from wellposed.space import norm

#: Rounding of one application of the map, in units of the machine precision times `‖x‖`.
_ROUNDING = 10.0


def contraction(
    problem: Problem, step: Tensor, smoothness: Tensor | None, convexity: Tensor, prox_lipschitz: Tensor
) -> tuple[Tensor, ...]:
    """Contraction factor `ρ` of `x ↦ prox_{s g}(x − s∇f(x))`, `(B,)`, infinite where it is not below 1.

    `ρ = max(|1 − s μ|, |1 − s L|) · ℓ` for `L`-smooth, `μ`-convex `f` and a proximal map with Lipschitz constant
    `ℓ`, `1/(1 + s m)` for `m`-convex `g`: Nesterov 2018, theorem 2.1.15, and Bauschke and Combettes 2017,
    proposition 23.13. Behind it what the data bring into one step, `s‖A‖·‖∇D(0, y)‖`: measurements far outside
    the operator's range cancel in the gradient, and what they leave of rounding the image does not show.
    Empty where no sample has a factor, so that iterations without a certificate need not carry it along.
    """
    smooth = isinstance(problem.operator, LinearOperator) and problem.fidelity.smooth_everywhere
    if smoothness is None or not smooth:
        return ()
    forward = torch.maximum((1 - step * convexity).abs(), (1 - step * smoothness).abs())
    factor = forward * prox_lipschitz
    contracts = factor < 1
    if not bool(contracts.any()):
        return ()
    return torch.where(contracts, factor, torch.inf), step * _data_gradient(problem)


def unknown(factors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The bounds before the first step."""
    return tuple(torch.full_like(factor, torch.nan) for factor in factors[:1])


def bounds_after(previous: Tensor, x: Tensor, factors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Banach's a-posteriori bound on `‖x − x*‖` for `x = T(previous)`: `ρ/(1−ρ)·‖x − previous‖`, plus rounding."""
    if not factors:
        return ()
    with torch.no_grad():
        factor, data = factors
        bound = (factor * norm(x - previous) + _rounding(x, data)) / (1 - factor)
        return (torch.where(factor < 1, bound, torch.inf),)


def bound_before(x: Tensor, image: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
    """The bound on `‖x − x*‖` from `image = T(x)`: `‖x − image‖/(1−ρ)`, plus rounding."""
    with torch.no_grad():
        factor, data = factors
        bound = (norm(x - image) + _rounding(x, data)) / (1 - factor)
        return torch.where(factor < 1, bound, torch.inf)


def _rounding(x: Tensor, data: Tensor) -> Tensor:
    return torch.finfo(x.dtype).eps * (_ROUNDING * norm(x) + data)


def _data_gradient(problem: Problem) -> Tensor:
    """`‖A‖·‖∇D(0, y)‖`, `(B,)`, which bounds the data gradient at the zero image."""
    y = problem.measurement
    size = problem.operator.norm()
    assert size is not None, "the data term is smooth"
    return size * norm(problem.fidelity.gradient(torch.zeros_like(y), y))
