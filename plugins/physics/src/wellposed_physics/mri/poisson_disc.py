"""Poisson-disc sampling of k-space."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.pattern import Pattern

from ..operators.arguments import check_fraction, image_size
from .masks import central_square, check_calibration, point_count, radius


class PoissonDiscMask(Pattern):
    """Points of k-space at random that keep their distance, which grows from the centre outwards.

    Two points `p`, `q` outside the calibration square are at least `min(d(p), d(q))` grid steps apart, `d(p)
    = s · (1 + growth · r)`, `r` the distance from DC over that of the corner; `s` is found such that
    `round(ratio · H · W)` points are kept; `seed` chooses the order in which they are tried. The central
    `calibration × calibration` square is kept whole.

    Shape: bool `(H, W)`, DC at `(H//2, W//2)`. Raises `InputError` where the square alone has more points.
    """

    source = "Vasanawala et al. 2011, Practical parallel imaging compressed sensing MRI (Poisson disc)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"ratio": 0.25, "calibration": 4},)

    def __init__(self, ratio: float, calibration: int = 20, growth: float = 3.0, seed: int = 0) -> None:
        check_fraction(ratio, "ratio", self)
        if growth < 0:
            raise InputError(f"PoissonDiscMask needs growth ≥ 0; {growth} was given")
        self.ratio, self.growth, self.seed = ratio, growth, seed
        self.calibration = check_calibration(calibration, self)

    def total(self, shape: tuple[int, ...]) -> float:
        return float(point_count(self.ratio, image_size(shape, self)))

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        size = image_size(shape, self)
        square = central_square(size, self.calibration).numpy()
        wanted = point_count(self.ratio, size) - int(square.sum())
        if wanted < 0:
            raise InputError(
                f"PoissonDiscMask may keep {point_count(self.ratio, size)} of {math.prod(size)} points, fewer "
                f"than the {int(square.sum())} of its calibration square; lower calibration or raise ratio"
            )
        order = np.random.default_rng(self.seed).permutation(np.flatnonzero(~square))
        distance = 1 + self.growth * radius(size).numpy()
        # Thrown in the same order, fewer darts stick the farther apart they must be; at scale 0 all do.
        low, high = 0.0, float(max(size))
        best = order[:wanted]
        for _ in range(14):
            scale = (low + high) / 2
            stuck = _throw(order, scale * distance, wanted)
            low, high = (scale, high) if len(stuck) >= wanted else (low, scale)
            best = stuck if len(stuck) >= wanted else best
        mask = square.copy()
        mask.flat[best] = True
        return torch.from_numpy(mask)


def _throw(order: np.ndarray, distance: np.ndarray, limit: int) -> list[int]:
    """The first `limit` points of `order` that no earlier accepted point keeps off.

    Points depend on those before them, so this is a loop; it runs once per mask, and only accepted points
    cost more than a look-up.
    """
    height, width = distance.shape
    taken = np.zeros(distance.shape, dtype=bool)
    discs: dict[int, np.ndarray] = {}
    accepted: list[int] = []
    for point in order.tolist():
        row, column = divmod(point, width)
        if taken[row, column]:
            continue
        accepted.append(point)
        if len(accepted) == limit:
            break
        # Radii in tenths of a grid step, so that few discs have to be made; rounded up keeps the distance.
        tenths = math.ceil(10 * distance[row, column])
        reach = tenths // 10
        if tenths not in discs:
            step = np.arange(-reach, reach + 1)
            discs[tenths] = np.hypot(step[:, None], step) < tenths / 10
        top, left = max(row - reach, 0), max(column - reach, 0)
        bottom, right = min(row + reach + 1, height), min(column + reach + 1, width)
        offset_row, offset_column = top - row + reach, left - column + reach
        disc = discs[tenths][offset_row : offset_row + bottom - top, offset_column : offset_column + right - left]
        taken[top:bottom, left:right] |= disc
    return accepted
