"""Pixel-driven backprojection with linear interpolation along the detector, for filtered sinograms."""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import Geometry

_CHUNK_CPU = 1 << 18
_CHUNK_GPU = 1 << 24


def interpolating_backprojection(y: Tensor, geometry: Geometry) -> Tensor:
    """`Σ_views y(view, projection of the pixel) / (relative distance from the source)²`.

    `y` is `(…, views, bins)`, the result `(…, rows, columns)`; bins beyond the detector count as 0.
    Not the adjoint of a projection: it interpolates where the adjoint spreads.
    """
    height, width = geometry.shape
    sinograms = torch.nn.functional.pad(y.reshape(-1, *y.shape[-2:]), (1, 2))
    like = {"dtype": y.dtype, "device": y.device}
    angles = torch.as_tensor(geometry.angles, device=y.device)
    cos, sin = angles.cos().to(y.dtype), angles.sin().to(y.dtype)
    x = (torch.arange(width, **like) - (width - 1) / 2) * geometry.pixel_size
    up = ((height - 1) / 2 - torch.arange(height, **like)[:, None]) * geometry.pixel_size
    images = y.new_zeros(len(sinograms), height, width)
    limit = _CHUNK_CPU if y.device.type == "cpu" else _CHUNK_GPU
    for part in torch.arange(geometry.views, device=y.device).split(max(1, limit // images.numel())):
        view = part[:, None, None]
        position, depth = geometry.locate(cos[view], sin[view], x, up)
        position = position.clamp(-1, geometry.bins)
        lower = position.floor()
        index = view * sinograms.shape[-1] + lower.long() + 1
        values = sinograms.flatten(1)
        sampled = torch.lerp(values[:, index], values[:, index + 1], position - lower)
        images = images + (sampled if depth is None else sampled / depth**2).sum(1)
    return images.reshape(*y.shape[:-2], height, width)
