"""Certified distances to the solution, from the contraction of a fixed-point map."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.space import norm

#: Rounding of one application of the map, in units of the machine precision times `‖x‖`.
_ROUNDING = 10.0


def contraction(
    step: Tensor, smoothness: Tensor | None, convexity: Tensor, prox_lipschitz: Tensor
) -> tuple[Tensor, ...]:
    """Contraction factor `ρ` of `x ↦ prox_{s g}(x − s∇f(x))`, `(B,)`, infinite where it is not below 1.

    `ρ = max(|1 − s μ|, |1 − s L|) · ℓ` for `L`-smooth, `μ`-convex `f` and a proximal map with Lipschitz constant
    `ℓ`, `1/(1 + s m)` for `m`-convex `g`: Nesterov 2018, theorem 2.1.15, and Bauschke and Combettes 2017,
    proposition 23.13. Empty where no sample has one, so that iterations without a certificate need not carry it
    along.
    """
    if smoothness is None:
        return ()
    forward = torch.maximum((1 - step * convexity).abs(), (1 - step * smoothness).abs())
    factor = forward * prox_lipschitz
    contracts = factor < 1
    return (torch.where(contracts, factor, torch.inf),) if bool(contracts.any()) else ()


def bounds_after(previous: Tensor, x: Tensor, factors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Banach's a-posteriori bound on `‖x − x*‖` for `x = T(previous)`: `ρ/(1−ρ)·‖x − previous‖`, plus rounding."""
    if not factors:
        return ()
    with torch.no_grad():
        bound = (factors[0] * norm(x - previous) + _rounding(x)) / (1 - factors[0])
        return (torch.where(factors[0] < 1, bound, torch.inf),)


def bound_before(x: Tensor, image: Tensor, factor: Tensor) -> Tensor:
    """The bound on `‖x − x*‖` from `image = T(x)`: `‖x − image‖/(1−ρ)`, plus rounding."""
    with torch.no_grad():
        bound = (norm(x - image) + _rounding(x)) / (1 - factor)
        return torch.where(factor < 1, bound, torch.inf)


def _rounding(x: Tensor) -> Tensor:
    return _ROUNDING * torch.finfo(x.dtype).eps * norm(x)
