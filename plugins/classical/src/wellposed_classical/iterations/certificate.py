"""Certified distances to the solution, from the contraction of a forward–backward map."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import LinearOperator, Problem
from wellposed.space import norm

from .composite import Composite

#: Rounding of one application of the map, in units of the machine precision times `‖x‖`.
_ROUNDING = 16.0


def contraction(parts: Composite, problem: Problem, x: Tensor, step: Tensor) -> tuple[Tensor, ...]:
    """The factor `ρ` of `T(x) = prox_{s g}(x − s∇f(x))`, `(B,)`, infinite where it is not below 1; and `d`, below.

    `ρ = max(|1 − s μ|, |1 − s L|) · ℓ` for `L`-smooth, `μ`-convex `f` and a proximal map with Lipschitz constant
    `ℓ`, `1/(1 + s m)` for `m`-convex `g`: Nesterov 2018, theorem 2.1.15, and Bauschke and Combettes 2017,
    proposition 23.13. `d = s‖A‖·‖∇D(0, y)‖` is what the data bring into one step: measurements far outside the
    operator's range cancel in the gradient, and the image does not show what they leave of rounding.
    Empty where no sample has a factor: then nothing is certified.
    """
    smoothness = parts.smoothness(problem, x)
    smooth = isinstance(problem.operator, LinearOperator) and problem.fidelity.smooth_everywhere
    if smoothness is None or not smooth:
        return ()
    convexity = parts.strong_convexity(problem, x)[0]
    forward = torch.maximum((1 - step * convexity).abs(), (1 - step * smoothness).abs())
    factor = forward * parts.prox_lipschitz(problem, x, step)
    contracts = factor < 1
    if not bool(contracts.any()):
        return ()
    return torch.where(contracts, factor, torch.inf), step * _data_gradient(problem)


def unknown(factors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The bounds before the first step."""
    return tuple(torch.full_like(factor, torch.nan) for factor in factors[:1])


def bound_after(previous: Tensor, x: Tensor, error: Tensor, factors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Banach's a-posteriori bound on `‖x − x*‖` where `‖x − T(previous)‖ ≤ e`: `(ρ‖x − previous‖ + e)/(1 − ρ)`.

    `e` is the error of an iterated proximal map, plus rounding.
    """
    with torch.no_grad():
        return (_over_gap(factors[0] * norm(x - previous) + error, x, factors),)


def bound_before(x: Tensor, image: Tensor, error: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
    """The bound on `‖x − x*‖` where `‖image − T(x)‖ ≤ e`: `(‖x − image‖ + e)/(1 − ρ)`."""
    with torch.no_grad():
        return _over_gap(norm(x - image) + error, x, factors)


def _over_gap(distance: Tensor, x: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
    factor, data = factors
    eps = torch.finfo(x.dtype).eps
    rounding = eps * (_ROUNDING * norm(x) + data)
    # A norm of n entries may be short by some √n roundings of itself.
    distance = distance * (1 + 4 * eps * x[0].numel() ** 0.5)
    return torch.where(factor < 1, (distance + rounding) / (1 - factor), torch.inf)


def _data_gradient(problem: Problem) -> Tensor:
    """`‖A‖·‖∇D(0, y)‖`, `(B,)`, which bounds the data gradient at the zero image."""
    y = problem.measurement
    size = problem.operator.norm()
    assert size is not None, "the data term is smooth"
    return size * norm(problem.fidelity.gradient(torch.zeros_like(y), y))
