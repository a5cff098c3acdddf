"""Band-limited functions of the plane, sampled on the grid of a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ring:
    """Functions `exp(−(|x| − radius)²/2σ²)·cos fθ` and `· sin fθ` for `f = 0 … frequencies`, lengths in pixels."""

    radius: int
    width: float
    frequencies: int


def rings(kernel_size: int) -> Iterator[Ring]:
    """The rings of a kernel of `kernel_size × kernel_size` pixels: one per distance from the middle.

    How many frequencies a ring carries is bounded by its number of pixels, `2r`, or the kernel would depend
    on how it lies on the grid; the outermost, which the square cuts off, carries two. Source: Weiler and Cesa
    2019, General E(2)-equivariant steerable CNNs; the numbers are those of e2cnn and escnn, so that the spaces
    of kernels are the same.
    """
    last = kernel_size // 2
    for radius in range(last + 1):
        if radius == 0:
            yield Ring(0, 0.005, 0)
        elif radius == last:
            yield Ring(radius, 0.4, 2)
        else:
            yield Ring(radius, 0.6, 2 * radius - (radius + 1) % 2)


def sample(ring: Ring, frequency: int, kernel_size: int) -> np.ndarray:
    """The functions of one frequency on the grid, shape `(1 or 2, kernel_size, kernel_size)`, the y axis up."""
    place = np.arange(kernel_size) - (kernel_size - 1) / 2
    x, y = place[None, :], -place[:, None]
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    profile = np.exp(-0.5 * ((radius - ring.radius) / ring.width) ** 2)
    if frequency == 0:
        return profile[None]
    profile = np.where(radius == 0, 0.0, profile)  # the middle has no angle
    return profile * np.stack([np.cos(frequency * angle), np.sin(frequency * angle)])
