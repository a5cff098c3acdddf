"""Automatic balance of primal and dual steps: how far each of them still has to go decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from wellposed import Problem
from wellposed.space import norm, per_sample

from .splitting import Block

_FIRST, _GROWTH = 4, 1.15
_TRUST, _DECAY = 0.7, 0.97
_STEEP = 1e4
_LARGEST = 10.0
_ROUNDINGS = 100.0


def trust(count: int) -> float:
    """How far the balance moves towards the measured ratio after step `count`; 0 at most steps.

    Updates come at steps 4, 9, 14, …, in intervals that grow by 1.15, and their sizes `0.7·0.97^j` are
    summable, so that the step sizes converge, which the method's convergence needs (Goldstein, Li and
    Yuan 2015, theorem 1).
    """
    found = _schedule(max(64, 1 << count.bit_length()))
    return found.get(count, 0.0)


@cache
def _schedule(limit: int) -> dict[int, float]:
    due: dict[int, float] = {}
    at, interval, size = float(_FIRST), float(_FIRST), _TRUST
    while at < limit:
        due[round(at)] = size
        interval *= _GROWTH
        at += interval
        size *= _DECAY
    return due


def balanced(current: Tensor, primal: Travel, dual: Travel, size: float) -> Tensor:
    """`current` moved towards the ratio of the distances travelled, on the logarithmic scale.

    At most tenfold at a time. Where a distance is within rounding of the place, so that the sample has
    converged or not yet moved, the balance stays.
    """
    factor = (primal.distance / dual.distance / current).clamp(1 / _LARGEST, _LARGEST) ** size
    return torch.where(primal.beyond_rounding() & dual.beyond_rounding(), current * factor, current)


@dataclass(frozen=True)
class Travel:
    """How far a point went and how far it is from the origin, `(B,)` each."""

    distance: Tensor
    size: Tensor

    @classmethod
    def between(cls, new: Sequence[Tensor], old: Sequence[Tensor], squared_weights: Sequence[Tensor]) -> Travel:
        """From `old` to `new` in the norm `√Σ w_i ‖p_i‖²`."""
        steps = [a - b for a, b in zip(new, old, strict=True)]
        return cls(weighted_norm(steps, squared_weights), weighted_norm(new, squared_weights))

    def beyond_rounding(self) -> Tensor:
        eps = torch.finfo(self.distance.dtype).eps
        return torch.isfinite(self.distance) & (self.distance > _ROUNDINGS * eps * self.size)


def subgradients(problem: Problem, blocks: Sequence[Block], x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """A rough solution, its images `K_i x` and (nearly) subgradients of `g_i` there: primal and dual scales.

    `prox_{t g*}(t v)` is a subgradient of `g` at a point that goes to `v` as `t` grows.
    """
    guess = _rough_solution(problem, x)
    images = [block.apply(guess) for block in blocks]
    slopes = []
    for block, image in zip(blocks, images, strict=True):
        steep = _STEEP / image.abs().flatten(1).mean(1).clamp_min(torch.finfo(x.dtype).tiny)
        slopes.append(block.prox_conjugate(image * per_sample(steep, image), steep))
    return guess, images, slopes


def ratio_of_sizes(primal: Tensor, dual: Tensor) -> Tensor:
    """`primal/dual` of two norms `(B,)`: the balance to start with, 1 where they tell nothing."""
    ratio = primal / dual
    return torch.where(torch.isfinite(ratio) & (ratio > 0), ratio, 1.0)


def weighted_norm(parts: Sequence[Tensor], squared_weights: Sequence[Tensor]) -> Tensor:
    """`√Σ w_i ‖p_i‖²` of each sample."""
    squares = [w * norm(p) ** 2 for p, w in zip(parts, squared_weights, strict=True)]
    return torch.stack(squares).sum(0).sqrt()


def _rough_solution(problem: Problem, x: Tensor) -> Tensor:
    """`x`, and where that is zero one step of steepest descent on the squared residual from there."""
    back = problem.operator.vjp(x, problem.measurement)
    size = norm(problem.operator(back)).clamp_min(torch.finfo(back.dtype).tiny)
    back = back * per_sample((norm(back) / size) ** 2, back)
    return torch.where(torch.as_tensor(per_sample(norm(x) > 0, x)), x, back)
