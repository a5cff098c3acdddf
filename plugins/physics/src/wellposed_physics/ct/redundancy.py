"""Weights for lines that a fan-beam scan measures twice, for full, short and interrupted arcs."""

from __future__ import annotations

import math

import numpy as np

from .angles import measured_arcs
from .fan_geometry import FanGeometry

#: Width of the smooth rise of the weights at the ends of an arc (radians), as Noo et al. use it.
_TAPER = math.pi / 18


def redundancy_weights(geometry: FanGeometry) -> np.ndarray:
    """Weights `(views, bins)` that sum to 1 over the rays along each line, smooth along the arc.

    The ray `(a, γ)` is measured again as `(a + π − 2γ, −γ)`. With `c` a function that rises from 0 at
    the ends of the measured arcs to 1 inside, the weight is `c(a) / (c(a) + c(a + π − 2γ))`: 1/2 on
    full circles, and akin to Parker's on short scans. (Noo, Defrise, Clackdoyle and Kudo 2002)
    """
    arcs = measured_arcs(geometry.angles)
    view = geometry.angles[:, None]
    own = _rise(view, arcs)
    again = _rise(view + math.pi - 2 * geometry.fan_angles, arcs)
    return own / (own + again)


def _rise(angle: np.ndarray, arcs: list[tuple[float, float]]) -> np.ndarray:
    """1 inside the arcs, falling to 0 at their ends as a squared sine, 0 outside."""
    total = np.zeros_like(angle)
    for start, length in arcs:
        if length >= 2 * math.pi:
            return np.ones_like(angle)
        along = np.mod(angle - start, 2 * math.pi)
        from_end = np.minimum(along, length - along)
        taper = min(_TAPER, length / 2)
        total += np.sin(np.clip(from_end / taper, 0, 1) * (math.pi / 2)) ** 2
    return total
