"""Matrix-free projection on the CPU, compiled by Numba (the `numba` extra).

Each thread of the projection takes some rays; each thread of the backprojection takes a band of rows
and of columns, which no other thread writes. The threads are Python's, in kernels that release the
interpreter: Numba's own thread pools do not survive the forks of a data loader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.nn import functional

from .engine import Engine
from .geometry import Geometry
from .joseph import crossed_steps, rays_of

#: Zeros around the image, so that rays may touch its rim without a test.
_RIM = 2
#: Rows of a backprojection's band: a band of the image stays in the second-level cache.
_BAND = 64


class NumbaEngine(Engine):
    """Joseph weights recomputed at each use; stores six numbers per ray."""

    def __init__(self, geometry: Geometry, reference: Tensor) -> None:
        self.geometry = geometry
        rays = rays_of(geometry)
        first, crossings = crossed_steps(rays, geometry.shape)
        self.rays = (rays.steep, rays.start + _RIM, rays.slope, rays.length, first, first + crossings)

    def project(self, images: Tensor) -> Tensor:
        out = images.new_empty(len(images), self.geometry.views * self.geometry.bins)
        rows, columns = _with_rim(images), _with_rim(images.mT)
        cuts = np.linspace(0, out.shape[1], 4 * torch.get_num_threads() + 1).astype(np.int64)
        _in_threads(
            partial(_project_rays, rows[k], columns[k], *self.rays, low, high, out[k].numpy())
            for k in range(len(images))
            for low, high in pairwise(cuts)
        )
        return out.reshape(len(images), self.geometry.views, self.geometry.bins)

    def backproject(self, sinograms: Tensor) -> Tensor:
        height, width = self.geometry.shape
        rows = sinograms.new_zeros(len(sinograms), height, width + 2 * _RIM)
        columns = sinograms.new_zeros(len(sinograms), width, height + 2 * _RIM)
        values = sinograms.detach().flatten(1).contiguous().numpy()
        bands = range(0, max(height, width), _BAND)
        _in_threads(
            partial(
                _backproject_band,
                values[k],
                *self.rays,
                low,
                low + _BAND,
                rows[k].numpy(),
                columns[k].numpy(),
            )
            for k in range(len(sinograms))
            for low in bands
        )
        return rows[..., _RIM:-_RIM] + columns[..., _RIM:-_RIM].mT

    @property
    def stored_bytes(self) -> int:
        return sum(part.nbytes for part in self.rays)


def _with_rim(images: Tensor) -> np.ndarray:
    return functional.pad(images.detach(), (_RIM, _RIM)).contiguous().numpy()


def _in_threads(tasks: Iterable[Callable[[], None]]) -> None:
    """Run all tasks on as many threads as torch uses."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(lambda task: task(), tasks):
            pass


@njit(nogil=True, cache=True)
def _project_rays(rows, columns, steep, start, slope, length, first, stop, low, high, out):  # type: ignore[no-untyped-def]
    for ray in range(low, high):
        image = rows if steep[ray] else columns
        total = 0.0
        for step in range(first[ray], stop[ray]):
            crossing = start[ray] + slope[ray] * step
            lower = int(crossing)
            value = image[step, lower]
            total += value + (crossing - lower) * (image[step, lower + 1] - value)
        out[ray] = total * length[ray]


@njit(nogil=True, cache=True)
def _backproject_band(values, steep, start, slope, length, first, stop, low, high, rows, columns):  # type: ignore[no-untyped-def]
    for ray in range(len(values)):
        image = rows if steep[ray] else columns
        value = values[ray] * length[ray]
        for step in range(max(first[ray], low), min(stop[ray], high)):
            crossing = start[ray] + slope[ray] * step
            lower = int(crossing)
            upper_share = (crossing - lower) * value
            image[step, lower] += value - upper_share
            image[step, lower + 1] += upper_share
