"""Automatic balance of primal and dual steps: how far each of them still has to go decides."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from wellposed.space import norm

_FIRST, _GROWTH = 5, 1.3
_TRUST, _DECAY = 0.5, 0.95


def trust(count: int) -> float:
    """How far the balance moves towards the measured ratio after step `count`; 0 at most steps.

    Updates come at steps 5, 12, 20, …, in intervals that grow by 1.3, and their sizes `0.5·0.95^j` are
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


def balanced(current: Tensor, primal: Tensor, dual: Tensor, size: float) -> Tensor:
    """`current` moved towards `primal/dual`, the ratio of two distances `(B,)`, on the logarithmic scale.

    Where a distance is zero or not finite the balance stays.
    """
    ratio = primal / dual
    usable = torch.isfinite(ratio) & (ratio > 0)
    moved = current * (torch.where(usable, ratio, current) / current) ** size
    return torch.where(usable, moved, current)


def weighted_norm(parts: list[Tensor], squared_weights: list[Tensor]) -> Tensor:
    """`√Σ w_i ‖p_i‖²` of each sample."""
    squares = [w * norm(p) ** 2 for p, w in zip(parts, squared_weights, strict=True)]
    return torch.stack(squares).sum(0).sqrt()
