"""Joseph's method: line integrals of the image interpolated linearly along its rows or columns.

A line closer to vertical than to horizontal is *steep*. It crosses every image row `i` at the column
`start + slope·i`, and its integral is `length · Σ_i` of the image interpolated there between two
columns; a line that is not steep is treated likewise with rows and columns exchanged. The image is 0
outside. (Joseph 1982)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from wellposed.errors import InputError

from .geometry import Geometry

_CHUNK_CROSSINGS = 1 << 16
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


def joseph_matrix(rays: Rays, shape: tuple[int, int], dtype: np.dtype, pitch: int | None = None) -> csr_matrix:
    """The matrix of Joseph weights `(rays, rows · pitch)` in CSR with 32-bit indices.

    Pixel `(i, j)` has the number `i · pitch + j`; by default `pitch` is the number of columns.
    """
    pitch = shape[1] if pitch is None else pitch
    first, crossings = crossed_steps(rays, shape)
    ends = 2 * np.cumsum(crossings)
    if ends[-1] > _INT32_LIMIT:
        raise InputError(
            f"the projection matrix would have {ends[-1]} entries, more than 32-bit indices can number; "
            f"use engine='matrix-free'"
        )
    pixels, weights = np.empty((ends[-1] // 2, 2), np.int32), np.empty((ends[-1] // 2, 2), dtype)
    chunk = max(1, _CHUNK_CROSSINGS // max(shape))
    for low in range(0, len(rays), chunk):
        part = slice(low, low + chunk)
        stop = ends[min(low + chunk, len(rays)) - 1] // 2
        target = slice(stop - crossings[part].sum(), stop)
        _fill(rays[part], first[part], crossings[part], shape, pitch, pixels[target], weights[target])
    pointers = np.concatenate([[0], ends]).astype(np.int32)
    size = (len(rays), shape[0] * pitch)
    return csr_matrix((weights.ravel(), pixels.ravel(), pointers), shape=size, copy=False)


def crossed_steps(rays: Rays, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The first row (steep) or column that each ray crosses inside the image, and how many it crosses."""
    steps, size = _extents(rays, shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        entry, exit_ = (-1 - rays.start) / rays.slope, (size - rays.start) / rays.slope
    parallel = rays.slope == 0
    inside = (rays.start > -1) & (rays.start < size)
    low = np.where(parallel, np.where(inside, 0, np.inf), np.minimum(entry, exit_))
    high = np.where(parallel, np.inf, np.maximum(entry, exit_))
    first = np.ceil(low.clip(0, steps)).astype(np.int64)
    last = np.floor(high.clip(-1, steps - 1)).astype(np.int64)
    return first, (last - first + 1).clip(0)


def _fill(
    rays: Rays,
    first: np.ndarray,
    crossings: np.ndarray,
    shape: tuple[int, int],
    pitch: int,
    pixels: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Write pixel numbers and weights of both neighbours of each crossing, ray by ray, `(crossings, 2)`.

    A neighbour outside the image is written as a pixel inside with weight 0.
    """
    starts = np.cumsum(crossings) - crossings
    step = np.arange(len(pixels)) + np.repeat(first - starts, crossings)
    crossing = np.repeat(rays.slope, crossings) * step + np.repeat(rays.start, crossings)
    lower = np.floor(crossing)
    fraction = (crossing - lower).astype(weights.dtype)
    length = np.repeat(rays.length.astype(weights.dtype), crossings)
    np.multiply(fraction, length, out=weights[:, 1])
    np.subtract(length, weights[:, 1], out=weights[:, 0])
    size = np.repeat(_extents(rays, shape)[1], crossings)
    along, across = np.where(rays.steep, pitch, 1), np.where(rays.steep, 1, pitch)
    pixel = np.repeat(along, crossings) * step
    across = np.repeat(across, crossings)
    for neighbour, column in enumerate((lower, lower + 1)):
        outside = (column < 0) | (column >= size)
        weights[outside, neighbour] = 0
        pixels[:, neighbour] = pixel + across * np.where(outside, 0, column).astype(np.int64)


def _extents(rays: Rays, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The number of rows (steep) or columns to cross, and of pixels in each."""
    return np.where(rays.steep, shape[0], shape[1]), np.where(rays.steep, shape[1], shape[0])
