"""Total-variation denoising of a batch: scaling, choice of the engine, stopping by the duality gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from .engine import Coupling, Engine, steps
from .torch_engine import TorchEngine

#: Iterations up to the first evaluation of the gap, and the growth of the distance to the next one.
#: An evaluation costs about as much as an iteration.
_FIRST_CHECK, _GROWTH = 8, 8


@dataclass(frozen=True)
class Denoised:
    """`image` `(N, J, *spatial)`; `gap` `(N,)`, relative to the objective; `iterations` `(N,)`."""

    image: Tensor
    gap: Tensor
    iterations: Tensor


def denoise(
    y: Tensor,
    weight: Tensor,
    coupling: Coupling = "isotropic",
    tolerance: float = 1e-4,
    limit: int = 1000,
    engine: type[Any] | None = None,
) -> Denoised:
    """`argmin_x ½‖x − y‖² + weight·Σ_i |(∇x)_i|`, each image to `primal − dual ≤ tolerance·primal`.

    `y` is real, `(N, J, *spatial)` with `weight` `(N,)`; the `J` channels of a pixel are one group, with
    the directions ("isotropic") or for each direction ("anisotropic"). The objective is strongly
    convex, so `‖x − x*‖² ≤ 2·gap·objective`. A tolerance below a few roundings is raised to that. An
    image that is not finite gives not-a-number. `engine` is chosen by the tensor unless given.
    """
    finite = torch.isfinite(y).flatten(1).all(1)
    column = (-1, *[1] * (y.ndim - 1))
    safe = torch.where(finite.reshape(column), y, 0.0)
    mean = safe.mean(dim=tuple(range(2, y.ndim)), keepdim=True)
    scale = _scale(safe - mean, weight).reshape(column)
    # x ↦ (x − mean)/scale turns the weight into 1 and keeps constants from costing digits.
    normalised = (safe - mean) / scale
    solved = _solve((engine or _engine_for(y))(normalised, coupling), len(column) - 2, tolerance, limit)
    image = torch.addcmul(mean.expand_as(y), solved.image, scale)
    image = torch.where((weight > 0).reshape(column), image, y)
    return Denoised(torch.where(finite.reshape(column), image, torch.nan), solved.gap, solved.iterations)


def _scale(centred: Tensor, weight: Tensor) -> Tensor:
    """The weight, kept where it matters.

    Below: pixels move by at most 2d·weight, here less than a rounding. Above: the solution is the mean
    for every weight beyond the peak times the number of pixels.
    """
    peak = centred.abs().flatten(1).amax(1)
    tiny = 1e-3 * torch.finfo(centred.dtype).eps
    scale = weight.clamp(min=tiny * peak, max=peak * centred[0].numel())
    return torch.where(peak > 0, scale, 1.0)


def _solve(engine: Engine, axes: int, tolerance: float, limit: int) -> Denoised:
    tolerance = max(tolerance, 4 * torch.finfo(engine.image.dtype).eps)
    sizes = steps(axes)
    image = torch.empty_like(engine.image)
    gap = torch.zeros_like(image[:, 0].flatten(1)[:, 0])
    iterations = torch.zeros_like(gap, dtype=torch.long)
    active = torch.arange(len(image), device=image.device)
    for done_so_far, count in _rounds(limit):
        engine.iterate(list(islice(sizes, count)))
        current = engine.relative_gap()
        running = current > tolerance
        if done_so_far == limit:
            running = torch.zeros_like(running)
        if not bool(running.all()):
            done = ~running
            finished = active[done]
            image[finished], gap[finished], iterations[finished] = engine.image[done], current[done], done_so_far
            if not bool(running.any()):
                break
            active = active[running]
            engine.keep(running.nonzero()[:, 0])
    return Denoised(image, gap, iterations)


def _rounds(limit: int) -> Iterator[tuple[int, int]]:
    """Iterations done after each round, and in it."""
    total = 0
    while total < limit:
        count = min(max(_FIRST_CHECK, total // _GROWTH), limit - total)
        total += count
        yield total, count


def _engine_for(y: Tensor) -> type[Any]:
    plain = y.ndim == 4 and y.shape[1] == 1 and y.device.type == "cpu"
    fast = _numba_engine() if plain and y.dtype in (torch.float32, torch.float64) else None
    return fast or TorchEngine


@cache
def _numba_engine() -> type[Any] | None:
    """The compiled engine where Numba is installed."""
    try:
        from .numba_engine import NumbaEngine
    except ImportError:
        return None
    return NumbaEngine
