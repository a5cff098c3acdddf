"""Matrix-free projection for accelerators: the backprojection gathers instead of adding to shared places."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .geometry import Geometry
from .joseph import rays_of
from .torch_engine import TorchEngine


class GatherEngine(TorchEngine):
    """Asks, for each pixel, which bins' rays pass within a pixel of it.

    No atomic addition, so that results do not depend on the order of threads.
    """

    def __init__(self, geometry: Geometry, reference: Tensor) -> None:
        super().__init__(geometry, reference)
        rays = rays_of(geometry)
        self.row_rate = self._tensor(np.where(rays.steep, rays.slope, -1.0))
        self.column_rate = self._tensor(np.where(rays.steep, -1.0, rays.slope))
        self.cos, self.sin = self._tensor(np.cos(geometry.angles)), self._tensor(np.sin(geometry.angles))

    def backproject(self, sinograms: Tensor) -> Tensor:
        height, width = self.geometry.shape
        row, column = self._tensor(np.arange(height))[:, None], self._tensor(np.arange(width))
        images = sinograms.new_zeros(len(sinograms), height, width)
        views = torch.arange(self.geometry.views, device=sinograms.device)
        for part in views.split(max(1, self._chunk // images.numel())):
            images += self._backproject_views(sinograms.flatten(1), part[:, None, None], row, column)
        return images

    def _backproject_views(self, values: Tensor, views: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The part that some views contribute, `(n, rows, columns)`."""
        geometry = self.geometry
        x = (column - (geometry.shape[1] - 1) / 2) * geometry.pixel_size
        y = ((geometry.shape[0] - 1) / 2 - row) * geometry.pixel_size
        nearest = geometry.locate(self.cos[views], self.sin[views], x, y)[0].floor().long()
        reach = math.ceil(geometry.reach)
        total = values.new_zeros(len(values), *geometry.shape)
        for offset in range(1 - reach, reach + 1):
            bin = nearest + offset
            measured = (bin >= 0) & (bin < geometry.bins)
            ray = views * geometry.bins + bin.clamp_(0, geometry.bins - 1)
            distance = self.row_rate[ray] * row + self.column_rate[ray] * column + self.start[ray]
            weight = (1 - distance.abs_()).clamp_(min=0) * self.length[ray] * measured
            total += (values[:, ray] * weight).sum(1)
        return total
