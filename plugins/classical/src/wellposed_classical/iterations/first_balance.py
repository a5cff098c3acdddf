"""The balance of primal and dual steps to start with, from the sizes of image and subgradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wellposed import Problem
from wellposed.space import norm, per_sample

from .balance import weighted_norm
from .splitting import Block, DataBlock

_STEEP = 1e4
#: Subgradients at the rough solution are believed within these multiples of the data's slope half-way to it: a rough
#: solution that explains the data has none, one beyond a constraint has all too steep ones.
_LEAST, _MOST = 0.2, 2.0


def first_step(
    problem: Problem,
    blocks: Sequence[Block],
    x: Tensor,
    weights: Sequence[Tensor],
    norms: Sequence[float],
    image_weights: Sequence[Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The primal step τ, `(B,)`: the size of a rough solution over that of the dual variables there; and that size.

    `weights` `(B,)` measure the dual variables, `√Σ w_i‖p_i‖²`; `norms` are the `‖K_i‖`. Where the method
    iterates the images `K_i x` and not `x`, `image_weights` measure them. 1 where nothing is known.
    """
    guess = rough_solution(problem, x)
    slope = _data_slope(problem, blocks, 0.5 * guess, weights, norms)
    known = torch.isfinite(slope) & (slope > 0)
    scales = [torch.where(known, slope, 1.0) / weight.sqrt() for weight in weights]
    dual = weighted_norm(_subgradients(blocks, guess, scales), weights)
    dual = torch.where(known, dual.nan_to_num(nan=torch.inf).clamp(_LEAST * slope, _MOST * slope), dual)
    size = norm(guess)
    if image_weights is not None:
        size = weighted_norm([block.apply(guess) for block in blocks], image_weights)
    ratio = size / dual
    return torch.where(torch.isfinite(ratio) & (ratio > 0), ratio, 1.0), size


def _data_slope(
    problem: Problem, blocks: Sequence[Block], x: Tensor, weights: Sequence[Tensor], norms: Sequence[float]
) -> Tensor:
    """The size of the data term's dual variable at `x`, or of those that have to match its gradient, `(B,)`."""
    for block, weight in zip(blocks, weights, strict=True):
        if isinstance(block, DataBlock):
            return weight.sqrt() * norm(problem.fidelity.gradient(block.apply(x), problem.measurement))
    sizes = [weight.sqrt() / (size or 1.0) for weight, size in zip(weights, norms, strict=True)]
    return torch.stack(sizes).amax(0) * norm(problem.data_gradient(x))


def _subgradients(blocks: Sequence[Block], x: Tensor, scales: Sequence[Tensor]) -> list[Tensor]:
    """(Nearly) subgradients of `g_i` at `K_i x`: `prox_{t g*}(t v)` is one at a point that goes to `v` as `t` grows.

    `t` is large against `scales`, sizes of dual variables, over the sizes of the images: the same in all units.
    """
    slopes = []
    for block, scale in zip(blocks, scales, strict=True):
        image = block.apply(x)
        steep = _STEEP * scale / norm(image).clamp_min(torch.finfo(x.dtype).tiny)
        slopes.append(block.prox_conjugate(image * per_sample(steep, image), steep))
    return slopes


def rough_solution(problem: Problem, x: Tensor) -> Tensor:
    """`x`, and where that is zero one step of steepest descent on the squared residual from there."""
    back = problem.operator.vjp(x, problem.measurement)
    size = norm(problem.operator(back)).clamp_min(torch.finfo(back.dtype).tiny)
    back = back * per_sample((norm(back) / size) ** 2, back)
    return torch.where(torch.as_tensor(per_sample(norm(x) > 0, x)), x, back)
