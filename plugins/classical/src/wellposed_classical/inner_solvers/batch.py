"""Running an inner iteration for a batch: each sample until its own duality gap is small."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

#: Iterations up to the first evaluation of the gap, and the share of those done that may pass before
#: the next: an evaluation costs about as much as an iteration.
_FIRST_CHECK, _SHARE = 8, 8
#: What one evaluation of a gap may lose, in units of the machine precision.
_ROUNDINGS = 16.0


class Engine(Protocol):
    """The state of the samples that are still worked on."""

    def iterate(self, count: int) -> None:
        """Do `count` iterations."""
        ...

    def result(self) -> tuple[Tensor, ...]:
        """The current estimates, each `(N, …)`."""
        ...

    def relative_gap(self) -> Tensor:
        """Primal minus dual objective, relative to the primal one, `(N,)`; 0 where both are 0."""
        ...

    def keep(self, index: Tensor) -> None:
        """Go on with the samples `index` alone."""
        ...


@dataclass(frozen=True)
class Solved:
    """`results` as the engine gives them; `gap` `(N,)`, relative to the objective; `iterations` `(N,)`."""

    results: tuple[Tensor, ...]
    gap: Tensor
    iterations: Tensor


def solve_batch(engine: Engine, tolerance: float, limit: int) -> Solved:
    """Iterate until the relative gap of each sample is at most `tolerance`, at most `limit` times.

    When the gap is evaluated depends on the number of iterations alone, so a sample's result does not
    depend on the others in its batch. A gap that is not a number ends its sample.
    """
    results = tuple(torch.empty_like(r) for r in engine.result())
    tolerance = reachable(tolerance, results[0].dtype)
    gap = results[0].new_zeros(len(results[0]))
    iterations = torch.zeros_like(gap, dtype=torch.long)
    active = torch.arange(len(gap), device=gap.device)
    for total, count in _rounds(limit):
        engine.iterate(count)
        current = engine.relative_gap()
        done = ~(current > tolerance) if total < limit else torch.ones_like(active, dtype=torch.bool)
        ended = done.nonzero()[:, 0]  # the one thing of a round that a GPU is waited for
        if len(ended):
            finished = active[ended]
            for kept, now in zip(results, engine.result(), strict=True):
                kept[finished] = now[ended]
            gap[finished], iterations[finished] = current[ended], total
            if len(ended) == len(active):
                break
            rest = done.byte().argsort(stable=True)[: len(active) - len(ended)]
            active = active[rest]
            engine.keep(rest)
    return Solved(results, gap, iterations)


def reachable(tolerance: float, dtype: torch.dtype) -> float:
    """The tolerance, raised to a few roundings of the gap."""
    return max(tolerance, 4 * torch.finfo(dtype).eps)


def effective_weight(weight: Tensor, y: Tensor) -> Tensor:
    """The weights `(N,)`, at most what makes the proximal map the same as every larger one: see `normalise`."""
    return torch.minimum(weight, 2 * y.flatten(1).abs().amax(1) * y[0].numel())


def distance_to_prox(excess: Tensor, objective: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """`‖u − prox(y)‖`, `(N,)`, from above: the proximal objective is 1-strongly convex, so `½‖·‖² ≤ primal − dual`.

    `excess` is the computed gap; what rounding may hide in it is relative to the objective, and that of a dual field
    of at most `weight` a pixel is `‖∇*p‖ ≤ √(4d)·weight·√pixels` wide.
    """
    eps = _ROUNDINGS * torch.finfo(y.dtype).eps
    field = weight * (4 * (y.ndim - 2) * y[0].numel()) ** 0.5
    size = torch.linalg.vector_norm(y.flatten(1), dim=1)
    error = (2 * (excess + eps * objective)).sqrt() + eps * (size + field)
    # Without a weight the map is the identity.
    error = torch.where(weight > 0, error, 0.0)
    return torch.where(torch.isnan(error), torch.inf, error)


def warn_of_limit(who: str, gap: Tensor, tolerance: float, limit: int) -> None:
    """A `RuntimeWarning` where a sample was left above the tolerance."""
    worst = float(gap.nan_to_num().max()) if len(gap) else 0.0
    tolerance = reachable(tolerance, gap.dtype)
    if worst > tolerance:
        warnings.warn(
            f"{who} stopped after {limit} iterations at a relative duality gap of {worst:.1e} instead of "
            f"{tolerance:.1e}; give it a larger limit or tolerance, or a smaller step",
            RuntimeWarning,
            stacklevel=4,
        )


def _rounds(limit: int) -> Iterator[tuple[int, int]]:
    """Iterations done after each round, and in it."""
    total = 0
    while total < limit:
        count = min(max(_FIRST_CHECK, total // _SHARE), limit - total)
        total += count
        yield total, count
