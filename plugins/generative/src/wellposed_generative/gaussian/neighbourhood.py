"""The half neighbourhood of a pixel: those of a square window that come after it in raster order."""

from __future__ import annotations

from functools import cache

from torch import Tensor
from torch.nn import functional

Offset = tuple[int, int]


@cache
def half_neighbourhood(radius: int) -> tuple[Offset, ...]:
    """Offsets `(rows, columns)` after the pixel in its `(2r+1)²` window: 4, 12 and 24 for radius 1, 2 and 3."""
    same_row = [(0, d) for d in range(1, radius + 1)]
    below = [(a, d) for a in range(1, radius + 1) for d in range(-radius, radius + 1)]
    return tuple(same_row + below)


@cache
def channel_pairs(channels: int) -> tuple[tuple[int, int], ...]:
    """Pairs `(c, d)` of channels with `c < d`."""
    return tuple((c, d) for c in range(channels) for d in range(c + 1, channels))


def padded(x: Tensor, radius: int) -> Tensor:
    """`x` with a frame of zeros, so that shifted images are slices of it."""
    return functional.pad(x, (radius, radius, radius, radius))


def shifted(frame: Tensor, radius: int, offset: Offset) -> Tensor:
    """`p ↦ x(p + offset)`, zero outside, as a view into `padded(x, radius)`."""
    height, width = frame.shape[-2] - 2 * radius, frame.shape[-1] - 2 * radius
    top, left = radius + offset[0], radius + offset[1]
    return frame[..., top : top + height, left : left + width]
