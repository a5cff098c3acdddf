"""Certified distances to the solution, from the contraction of a forward–backward map."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import LinearOperator, Problem
from wellposed.space import norm

from .composite import Composite, descend

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
    if smoothness is None or not isinstance(problem.operator, LinearOperator):
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


def certified_step(
    parts: Composite, problem: Problem, z: Tensor, step: float | Tensor, factors: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`x = prox_{s g}(z − s∇f(z))`, and where that contracts Banach's a-posteriori bound on `‖x − x*‖`.

    It is `(ρ‖x − z‖ + e)/(1 − ρ)`, with `e` the error of an iterated proximal map, plus rounding.
    """
    moved = descend(z, parts.gradient(problem, z), step)
    if not factors:
        return parts.prox(moved, step), ()
    x, error = parts.prox_with_error(moved, step)
    with torch.no_grad():
        return x, (_over_gap(factors[0] * norm(x - z) + error, x, factors),)


def certified_distance(
    parts: Composite, problem: Problem, x: Tensor, step: float | Tensor, factors: tuple[Tensor, ...]
) -> Tensor:
    """A bound on `‖x − x*‖` from one more step `T(x)`, computed up to `e`: `(‖x − T(x)‖ + e)/(1 − ρ)`."""
    with torch.no_grad():
        image, error = parts.prox_with_error(descend(x, parts.gradient(problem, x), step), step)
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
