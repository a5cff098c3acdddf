"""Matrix-free projection in plain torch: nothing is stored but the rays.

The image is read where each ray crosses its rows (steep rays) or its columns (the others), and the
backprojection adds to the same places.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .engine import Engine, tensor_bytes
from .geometry import Geometry
from .joseph import rays_of

#: Elements of one temporary tensor: small enough for a CPU's cache, large enough to fill a GPU.
_CHUNK_CPU = 1 << 18
_CHUNK_GPU = 1 << 24

#: Columns of zeros before and behind the image: every clamped crossing reads or writes zeros.
_BEFORE, _BEHIND = 1, 2


class TorchEngine(Engine):
    """Joseph weights recomputed at each use, in chunks of rays that bound the memory."""

    def __init__(self, geometry: Geometry, reference: Tensor) -> None:
        self.geometry = geometry
        self.reference = reference.new_empty(0)
        rays = rays_of(geometry)
        self.steep = self._tensor(np.flatnonzero(rays.steep), torch.int64)
        self.flat = self._tensor(np.flatnonzero(~rays.steep), torch.int64)
        self.start, self.slope = self._tensor(rays.start), self._tensor(rays.slope)
        self.length = self._tensor(rays.length)

    @property
    def stored_bytes(self) -> int:
        return tensor_bytes(*(part for part in vars(self).values() if isinstance(part, Tensor)))

    def project(self, images: Tensor) -> Tensor:
        rays = images.new_empty(len(images), self.geometry.views * self.geometry.bins)
        self._project(images, self.steep, rays)
        self._project(images.mT, self.flat, rays)
        return rays.reshape(len(images), self.geometry.views, self.geometry.bins)

    def backproject(self, sinograms: Tensor) -> Tensor:
        height, width = self.geometry.shape
        values = sinograms.flatten(1) * self.length
        rows = self._backproject(values, self.steep, height, width)
        columns = self._backproject(values, self.flat, width, height)
        return rows + columns.mT

    def _project(self, images: Tensor, rays: Tensor, out: Tensor) -> None:
        """Fill in the integrals of `rays`, which cross each row of `images` once."""
        rows, size = images.shape[-2:]
        padded = functional.pad(images, (_BEFORE, _BEHIND))
        width = padded.shape[-1]
        padded = padded.flatten(1)
        offset = torch.arange(rows, device=images.device)[:, None] * width
        for part, lower, fraction in self._crossings(rays, rows, size, len(images)):
            index = lower + offset
            values = torch.lerp(padded[:, index], padded[:, index + 1], fraction)
            out[:, part] = values.sum(1) * self.length[part]

    def _backproject(self, values: Tensor, rays: Tensor, rows: int, size: int) -> Tensor:
        """The transpose of `_project`; `values` have the rays' lengths in them."""
        images = values.new_zeros(len(values), rows, _BEFORE + size + _BEHIND)
        for part, lower, fraction in self._crossings(rays, rows, size, len(values)):
            value = values[:, None, part]
            upper_share = fraction * value
            index = lower.expand(len(values), -1, -1)
            images.scatter_add_(2, index, value - upper_share)
            images.scatter_add_(2, index + 1, upper_share)
        return images[:, :, _BEFORE:-_BEHIND]

    def _crossings(self, rays: Tensor, rows: int, size: int, images: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Chunks of rays, the padded column left of each crossing and the way on to the next, `(rows, rays)`."""
        row = torch.arange(rows, device=rays.device, dtype=self.start.dtype)[:, None]
        for part in rays.split(max(1, self._chunk // (rows * images))):
            crossing = (self.slope[part] * row + self.start[part]).clamp_(-_BEFORE, size)
            lower = crossing.floor()
            yield part, lower.long() + _BEFORE, crossing.sub_(lower)

    @property
    def _chunk(self) -> int:
        return _CHUNK_CPU if self.reference.device.type == "cpu" else _CHUNK_GPU

    def _tensor(self, values: np.ndarray, dtype: torch.dtype | None = None) -> Tensor:
        """`values` on the engine's device, in its precision unless `dtype` says otherwise."""
        return torch.from_numpy(values).to(self.reference.device, dtype or self.reference.dtype)
