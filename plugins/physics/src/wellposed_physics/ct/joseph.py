"""Joseph's method: line integrals of the image interpolated linearly along its rows or columns.

A line closer to vertical than to horizontal is *steep*. It crosses every image row `i` at the column
`start + slope·i`, and its integral is `length · Σ_i` of the image interpolated there between two
columns; a line that is not steep is treated likewise with rows and columns exchanged. The image is 0
outside. (Joseph 1982, eqs. 8-11.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from wellposed.errors import InputError

from .geometry import Geometry

_CHUNK_ENTRIES = 1 << 19
_INT32_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Rays:
    """Lines in pixel units, one entry each: where they cross, how fast they move, length per crossing."""

    steep: np.ndarray
    start: np.ndarray
    slope: np.ndarray
    length: np.ndarray

    def __getitem__(self, index: np.ndarray | slice) -> Rays:
        return Rays(self.steep[index], self.start[index], self.slope[index], self.length[index])

    def __len__(self) -> int:
        return len(self.start)


def rays_of(geometry: Geometry, ray: np.ndarray | None = None) -> Rays:
    """The rays with the flat numbers `ray = view · bins + bin` (default: all), float64."""
    if ray is None:
        ray = np.arange(geometry.views * geometry.bins)
    view, bin = np.divmod(ray, geometry.bins)
    eta, distance = geometry.lines(view, bin)
    distance = distance / geometry.pixel_size
    cos, sin = np.cos(eta), np.sin(eta)
    middle_row, middle_column = (geometry.shape[0] - 1) / 2, (geometry.shape[1] - 1) / 2
    steep = np.abs(cos) >= np.abs(sin)
    across = np.where(steep, cos, sin)
    slope = np.where(steep, sin, cos) / across
    column = (distance - middle_row * sin) / across + middle_column
    row = middle_row - (distance + middle_column * cos) / across
    return Rays(steep, np.where(steep, column, row), slope, geometry.pixel_size / np.abs(across))


def joseph_matrix(rays: Rays, shape: tuple[int, int], dtype: np.dtype) -> csr_matrix:
    """The matrix of Joseph weights `(rays, pixels)` in CSR with 32-bit indices."""
    steps = max(shape)
    chunk = max(1, _CHUNK_ENTRIES // steps)
    parts = [_chunk(rays[low : low + chunk], shape, dtype) for low in range(0, len(rays), chunk)]
    counts, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    ends = np.cumsum(counts, dtype=np.int64)
    if ends[-1] > _INT32_LIMIT:
        raise InputError(
            f"the projection matrix would have {ends[-1]} entries, more than 32-bit indices can number; "
            f"use engine='matrix-free'"
        )
    pointers = np.concatenate([[0], ends]).astype(np.int32)
    return csr_matrix((values, columns, pointers), shape=(len(rays), shape[0] * shape[1]), copy=False)


def _chunk(rays: Rays, shape: tuple[int, int], dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Entries per ray, pixel numbers and weights of some rays, ray by ray."""
    height, width = shape
    steep = rays.steep[:, None]
    step = np.arange(max(shape), dtype=np.int32)
    crossing = rays.start[:, None] + rays.slope[:, None] * step
    size = np.where(steep, width, height).astype(np.int32)
    lower = np.floor(crossing)
    fraction = (crossing - lower).astype(dtype)
    lower = lower.clip(-2, max(shape)).astype(np.int32)
    inside = (step < np.where(steep, height, width)) & (lower >= -1) & (lower < size)
    present = np.stack([inside & (lower >= 0), inside & (lower < size - 1) & (fraction > 0)], axis=-1)
    length = rays.length[:, None].astype(dtype)
    weights = np.stack([(1 - fraction) * length, fraction * length], axis=-1)
    stride = np.where(steep, 1, width).astype(np.int32)
    pixel = step * np.where(steep, width, 1).astype(np.int32) + lower * stride
    pixels = np.stack([pixel, pixel + stride], axis=-1)
    return present.sum(axis=(1, 2)), pixels[present], weights[present]
