"""Where the rotation axis projects, from the sinogram itself."""

from __future__ import annotations

import numpy as np

from wellposed.errors import InputError

from ..ct.angles import in_radians

#: A scan has opposite views where two of them miss the half turn by no more angular steps than this.
_TOLERANCE = 1.6

#: Where all miss it by more than half a step, all pairs within so many steps are averaged: their errors
#: are mostly those of details that a slight turn displaces, and differ from pair to pair.
_BAND = 6.0

#: Pairs that are compared at most.
_ENOUGH = 256


def estimated_rotation_centre(sinogram: np.ndarray, angles: np.ndarray) -> float:
    """The fractional bin of the rotation axis: the mirror axis that best maps views onto those half a turn on.

    In parallel beams `p(a + π, c + s) = p(a, c − s)`. Minimises the mean squared difference of all pairs of
    opposite views over the bins they share (at least half of them). With exactly opposite views it is right
    to a fraction of a bin, at the end of a half turn to about one.
    `sinogram` `(views, bins)`, one of the `angles` (radian) for each view. Raises `InputError` where no two views are
    opposite, and for angles that cannot be radian.
    """
    angles = in_radians(angles, "radian")
    if sinogram.ndim != 2 or len(sinogram) != len(angles):
        raise InputError(
            f"a rotation centre is estimated from a sinogram (views, bins) and an angle for each view; the shape "
            f"{sinogram.shape} and {len(angles)} angles were given"
        )
    pairs = _opposite(angles)
    if len(pairs) == 0:
        raise InputError(
            "the rotation centre can be estimated from opposite views only, and these angles hold none; state "
            "rotation_centre as a bin"
        )
    bins = sinogram.shape[1]
    first, second = sinogram[pairs[:, 0]], sinogram[pairs[:, 1]]
    ones = np.ones((1, bins))
    # The sum over b of (p[b] − q[d − b])² for every d, d = 2c: three convolutions along the detector.
    shared = _convolved(ones, ones)[0]
    squares = _convolved(first**2, ones) + _convolved(ones, second**2) - 2 * _convolved(first, second)
    cost = np.maximum(squares.sum(0), 0) / np.maximum(shared, 0.5)
    cost[shared < bins / 2 - 0.5] = np.inf
    best = int(np.argmin(cost))
    return (best + _vertex(cost[best - 1 : best + 2])) / 2


def _opposite(angles: np.ndarray) -> np.ndarray:
    """Pairs of views half a turn apart, or nearly, `(pairs, 2)`."""
    if len(angles) < 2:
        return np.empty((0, 2), int)
    step = np.median(np.abs(np.diff(angles)))
    miss = np.abs(angles[None] - angles[:, None] - np.pi)
    if miss.min() > _TOLERANCE * step:
        return np.empty((0, 2), int)
    reach = miss.min() + 0.1 * step if miss.min() <= 0.55 * step else _BAND * step
    pairs = np.argwhere(miss <= reach)
    return pairs[:: -(-len(pairs) // _ENOUGH)]


def _convolved(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    n = p.shape[1] + q.shape[1] - 1
    return np.fft.irfft(np.fft.rfft(p, n) * np.fft.rfft(q, n), n)


def _vertex(three: np.ndarray) -> float:
    """Offset of the minimum of the parabola through three values from the middle one."""
    if len(three) < 3 or not np.isfinite(three).all():
        return 0.0
    curvature = three[0] - 2 * three[1] + three[2]
    return 0.0 if curvature <= 0 else float(0.5 * (three[0] - three[2]) / curvature)
