"""The rule that balances primal and dual steps, with bounds on what it may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed import Problem
from wellposed.space import norm

_FIRST, _GROWTH = 4, 1.15
_TRUST, _DECAY = 0.5, 0.97
#: The most that one update may change the step, and all of them together.
_LARGEST, _DRIFT = 10.0, 1e4
#: A residual this many times the least one takes the step back to where that was seen.
_WORSE = 10.0
#: … and so does an objective that has lost this part of what it had gained since the first update.
_LOSS = 0.1
_ROUNDINGS = 100.0


@dataclass(frozen=True)
class Point:
    """Primal and dual tensors of a splitting method, measured by `√Σ w_i ‖p_i‖²` each; all weights `(B,)`."""

    primal: tuple[Tensor, ...]
    dual: tuple[Tensor, ...]
    primal_weights: tuple[Tensor, ...]
    dual_weights: tuple[Tensor, ...]

    def sizes(self) -> tuple[Tensor, Tensor]:
        return weighted_norm(self.primal, self.primal_weights), weighted_norm(self.dual, self.dual_weights)

    def distances(self, primal: Sequence[Tensor], dual: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """From another point, given by its tensors."""
        away = [a - b for a, b in zip(self.primal, primal, strict=True)]
        across = [a - b for a, b in zip(self.dual, dual, strict=True)]
        return weighted_norm(away, self.primal_weights), weighted_norm(across, self.dual_weights)


class Balance(NamedTuple):
    """The primal step τ of each sample, `(B,)`, and what its rule remembers.

    Dual steps are multiples of `1/τ`, so that τ alone is the balance. At steps 4, 9, 14, …, in growing intervals, τ
    moves towards the ratio of the distances that primal and dual point have travelled since the last update, the
    ratio that the rate of convergence asks for (Chambolle and Pock 2011, theorem 1).

    What it cannot do: an update changes τ at most tenfold to the power of its `trust`, and these are summable, so
    that τ converges, which the method's convergence needs (Goldstein, Li and Yuan 2015, theorem 1); τ stays within
    1e4 of the `first`; and where the residual is ten times what it has been, or the objective has lost a tenth of what
    it had gained, τ goes back to the value `safe` at which the objective, or where it is not known the residual, was
    least, and later updates of that sample are half as large.
    """

    step: Tensor
    first: Tensor
    safe: Tensor
    residual: Tensor
    failures: Tensor
    extent: Tensor
    highest: Tensor
    lowest: Tensor

    @classmethod
    def start(cls, step: Tensor, extent: Tensor) -> Balance:
        """`extent` is the size of the primal solution, roughly, and `extent/step` that of the dual one."""
        endless = torch.full_like(step, torch.inf)
        return cls(step, step, step, endless, torch.zeros_like(step), extent, -endless, endless)

    def updated(
        self, point: Point, previous: Point, anchor: Sequence[Tensor], objective: Tensor, size: float
    ) -> Balance:
        """After the step from `previous` to `point`; `anchor` are the tensors of the point of the last update.

        `objective` `(B,)` is that at the image, infinite where it is not known (constraints that are met in the limit).
        """
        residual = self._residual(point, previous)
        rises = objective > self.lowest + _LOSS * (self.highest - self.lowest).clamp_min(0.0)
        failed = (residual > _WORSE * self.residual) | (rises & torch.isfinite(objective))
        known = torch.isfinite(objective)
        better = torch.where(known, objective <= self.lowest, residual <= self.residual)
        safe, smallest = torch.where(better, self.step, self.safe), torch.minimum(residual, self.residual)
        highest = torch.where(known & ~torch.isfinite(self.highest), objective, self.highest)
        lowest = torch.where(known, torch.minimum(objective, self.lowest), self.lowest)
        failures = self.failures + failed
        moved = self.step * self._factor(point, anchor) ** (size * 0.5**failures)
        step = torch.where(failed, safe, moved.clamp(self.first / _DRIFT, self.first * _DRIFT))
        return Balance(step, self.first, safe, smallest, failures, self.extent, highest, lowest)

    def _residual(self, point: Point, previous: Point) -> Tensor:
        """`‖Δx‖/τ·‖x‖ + τ‖Δp‖·‖p‖`: how far the optimality conditions are from holding, in units of the objective."""
        primal, dual = point.distances(previous.primal, previous.dual)
        of_primal, of_dual = (torch.maximum(a, b) for a, b in zip(point.sizes(), self._extents(), strict=True))
        total = primal / self.step * of_primal + dual * self.step * of_dual
        return torch.where(torch.isfinite(total), total, torch.inf)

    def _extents(self) -> tuple[Tensor, Tensor]:
        return self.extent, self.extent / self.first

    def _factor(self, point: Point, anchor: Sequence[Tensor]) -> Tensor:
        """The measured ratio over τ, at most tenfold; 1 where neither side has moved beyond rounding.

        A side that has not moved counts with its rounding: the other one is too fast by at least that.
        """
        count = len(point.primal)
        primal, dual = point.distances(anchor[:count], anchor[count:])
        of_primal, of_dual = point.sizes()
        rounding = _ROUNDINGS * torch.finfo(primal.dtype).eps
        moves = (primal > rounding * of_primal) | (dual > rounding * of_dual)
        ratio = torch.maximum(primal, rounding * of_primal) / torch.maximum(dual, rounding * of_dual) / self.step
        return torch.where(moves & torch.isfinite(ratio) & (ratio > 0), ratio, 1.0).clamp(1 / _LARGEST, _LARGEST)


def trust(count: int) -> float:
    """How far the balance moves towards the measured ratio after step `count`; 0 at most steps.

    Updates come at steps 4, 9, 14, …, in intervals that grow by 1.15, and their sizes `0.5·0.97^j` are summable.
    """
    found = _schedule(max(64, 1 << count.bit_length()))
    return found.get(count, 0.0)


def _number(count: int) -> int:
    """How many updates there are before that of step `count`."""
    return list(_schedule(max(64, 1 << count.bit_length()))).index(count)


@cache
def _schedule(limit: int) -> dict[int, float]:
    """The sizes of the updates by their steps, in order."""
    due: dict[int, float] = {}
    at, interval, size = float(_FIRST), float(_FIRST), _TRUST
    while at < limit:
        due[round(at)] = size
        interval *= _GROWTH
        at += interval
        size *= _DECAY
    return due


def objective_at(problem: Problem, x: Tensor, count: int) -> Tensor:
    """The objective `(B,)` at every other update, infinite at the rest and where the regularizer has no value."""
    if "value" not in problem.regularizer.capabilities or _number(count) % 2:
        return torch.full((len(x),), torch.inf, dtype=x.dtype.to_real(), device=x.device)
    return problem.objective(x)


def weighted_norm(parts: Sequence[Tensor], squared_weights: Sequence[Tensor]) -> Tensor:
    """`√Σ w_i ‖p_i‖²` of each sample."""
    squares = [w * norm(p) ** 2 for p, w in zip(parts, squared_weights, strict=True)]
    return torch.stack(squares).sum(0).sqrt()
