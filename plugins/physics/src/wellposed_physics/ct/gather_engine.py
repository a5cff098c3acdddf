"""Matrix-free projection in plain torch: nothing is stored but the rays, and both directions gather.

Works on every device. The projection reads the image where each ray crosses its rows or columns; the
backprojection asks, for each pixel, which bins' rays pass within a pixel of it. No scattered addition,
so that results do not depend on the order of threads.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .engine import Engine
from .geometry import Geometry
from .joseph import rays_of

#: Elements of one temporary tensor: small enough for a CPU's cache, large enough to fill a GPU.
_CHUNK_CPU = 1 << 18
_CHUNK_GPU = 1 << 24


class GatherEngine(Engine):
    """Joseph weights recomputed at each use, in chunks of rays or views."""

    def __init__(self, geometry: Geometry, reference: Tensor) -> None:
        super().__init__()
        self.geometry = geometry
        rays = rays_of(geometry)
        self._keep("steep", np.flatnonzero(rays.steep), reference, torch.int64)
        self._keep("flat", np.flatnonzero(~rays.steep), reference, torch.int64)
        for name, part in (("start", rays.start), ("slope", rays.slope), ("length", rays.length)):
            self._keep(name, part, reference, reference.dtype)
        self._keep("row_rate", np.where(rays.steep, rays.slope, -1), reference, reference.dtype)
        self._keep("column_rate", np.where(rays.steep, -1, rays.slope), reference, reference.dtype)
        self._keep("cos", np.cos(geometry.angles), reference, reference.dtype)
        self._keep("sin", np.sin(geometry.angles), reference, reference.dtype)

    steep: Tensor
    flat: Tensor
    start: Tensor
    slope: Tensor
    length: Tensor
    row_rate: Tensor
    column_rate: Tensor
    cos: Tensor
    sin: Tensor

    def project(self, images: Tensor) -> Tensor:
        rays = images.new_empty(len(images), self.geometry.views * self.geometry.bins)
        self._project_along_rows(images, self.steep, rays)
        self._project_along_rows(images.mT, self.flat, rays)
        return rays.reshape(len(images), self.geometry.views, self.geometry.bins)

    def backproject(self, sinograms: Tensor) -> Tensor:
        height, width = self.geometry.shape
        row = torch.arange(height, device=sinograms.device, dtype=sinograms.dtype)[:, None]
        column = torch.arange(width, device=sinograms.device, dtype=sinograms.dtype)
        images = sinograms.new_zeros(len(sinograms), height, width)
        chunk = max(1, self._chunk(sinograms) // (height * width * len(sinograms)))
        for low in range(0, self.geometry.views, chunk):
            views = torch.arange(low, min(low + chunk, self.geometry.views), device=sinograms.device)
            images += self._backproject_views(sinograms, views[:, None, None], row, column)
        return images

    def _project_along_rows(self, images: Tensor, rays: Tensor, out: Tensor) -> None:
        """Fill in the integrals of `rays`, which cross each row of `images` once."""
        rows, size = images.shape[-2:]
        width = size + 3  # one column of zeros before, two behind: every clamped crossing reads zeros
        padded = functional.pad(images, (1, 2)).flatten(1)
        row = torch.arange(rows, device=images.device)
        for part in rays.split(max(1, self._chunk(images) // (rows * len(images)))):
            crossing = self.slope[part, None] * row + self.start[part, None]
            crossing = crossing.clamp_(-1, size)
            lower = crossing.floor()
            index = lower.long() + (row * width + 1)
            fraction = crossing.sub_(lower)
            values = torch.lerp(padded[:, index], padded[:, index + 1], fraction)
            out[:, part] = values.sum(-1) * self.length[part]

    def _backproject_views(self, sinograms: Tensor, views: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The part that some views contribute, summed over them."""
        geometry = self.geometry
        x = (column - (geometry.shape[1] - 1) / 2) * geometry.pixel_size
        y = ((geometry.shape[0] - 1) / 2 - row) * geometry.pixel_size
        nearest = geometry.locate(self.cos[views], self.sin[views], x, y)[0].floor().long()
        reach = math.ceil(geometry.reach)
        values = sinograms.flatten(1)
        total = sinograms.new_zeros(len(sinograms), *geometry.shape)
        for offset in range(1 - reach, reach + 1):
            bin = nearest + offset
            measured = (bin >= 0) & (bin < geometry.bins)
            ray = views * geometry.bins + bin.clamp_(0, geometry.bins - 1)
            distance = self.row_rate[ray] * row + self.column_rate[ray] * column + self.start[ray]
            weight = (1 - distance.abs_()).clamp_(min=0) * self.length[ray] * measured
            total += (values[:, ray] * weight).sum(1)
        return total

    def _chunk(self, like: Tensor) -> int:
        return _CHUNK_CPU if like.device.type == "cpu" else _CHUNK_GPU

    def _keep(self, name: str, values: np.ndarray, reference: Tensor, dtype: torch.dtype) -> None:
        buffer = torch.from_numpy(values).to(device=reference.device, dtype=dtype)
        self.register_buffer(name, buffer, persistent=False)
