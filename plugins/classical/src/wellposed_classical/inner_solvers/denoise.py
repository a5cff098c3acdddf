"""Total-variation denoising of a batch, the model of Rudin, Osher and Fatemi, to a certified gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .averaged_engine import AveragedEngine
from .batch import Solved, solve_batch
from .step_sizes import Coupling
from .torch_engine import TorchEngine


def denoise(
    y: Tensor,
    weight: Tensor,
    coupling: Coupling = "isotropic",
    tolerance: float = 1e-4,
    limit: int = 1000,
    engine: type[Any] | None = None,
) -> Solved:
    """`argmin_x ½‖x − y‖² + weight·Σ_i |(∇x)_i|`, each image to `primal − dual ≤ tolerance·primal`.

    `y` is real, `(N, J, *spatial)` with `weight` `(N,)`; the `J` numbers of a pixel are one group, with
    the directions ("isotropic") or for each direction ("anisotropic"); "averaged" is the mean of the isotropic
    variations of all reflected images. The objective is strongly
    convex, so `‖x − x*‖² ≤ 2·gap·objective`. An image that is not finite gives not-a-number. `engine` is
    chosen by the tensor and the coupling unless given.
    """
    scaled = normalise(y, weight)
    solved = solve_batch((engine or _engine_for(y, coupling))(scaled.image, coupling), tolerance, limit)
    return Solved((scaled.restore(solved.results[0], y, weight),), solved.gap, solved.iterations)


@dataclass(frozen=True)
class Normalised:
    """`image = (y − trend)/scale`: the weight becomes 1, and the trend, which is free, costs no digits."""

    image: Tensor
    trend: Tensor
    scale: Tensor
    finite: Tensor

    def restore(self, solution: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        image = torch.addcmul(self.trend.expand_as(y), solution, self.scale)
        image = torch.where((weight > 0).reshape(self.scale.shape), image, y)
        return torch.where(self.finite, image, torch.nan)


def mean_of(y: Tensor) -> Tensor:
    """The mean over the spatial axes."""
    return y.mean(dim=tuple(range(2, y.ndim)), keepdim=True)


def normalise(y: Tensor, weight: Tensor, trend_of: Callable[[Tensor], Tensor] = mean_of) -> Normalised:
    """Images scaled for a positively homogeneous functional that ignores what `trend_of` gives.

    The scale is the weight where it matters. Below, pixels move by a few weights, here by less than a
    rounding. Above, the solution is the same for every weight beyond the peak times the number of pixels.
    """
    column = (-1, *[1] * (y.ndim - 1))
    finite = torch.isfinite(y).flatten(1).all(1).reshape(column)
    safe = torch.where(finite, y, 0.0)
    trend = trend_of(safe)
    centred = safe - trend
    peak = centred.abs().flatten(1).amax(1)
    eps = torch.finfo(y.dtype).eps
    # An image that is its trend but for rounding has nothing to denoise.
    peak = torch.where(peak > 8 * eps * safe.abs().flatten(1).amax(1), peak, 0.0)
    centred = torch.where((peak > 0).reshape(column), centred, 0.0)
    scale = torch.where(peak > 0, weight.clamp(min=1e-3 * eps * peak, max=peak * y[0].numel()), 1.0).reshape(column)
    return Normalised(centred.div_(scale), trend, scale, finite)


def _engine_for(y: Tensor, coupling: Coupling) -> type[Any]:
    if coupling == "averaged":
        return AveragedEngine
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
