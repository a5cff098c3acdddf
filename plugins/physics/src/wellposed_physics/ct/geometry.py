"""Scan geometry: which line each detector bin of each view measures, in the image's coordinates.

Conventions (those of ASTRA): x to the right, y up, image row 0 at the top, origin at the rotation axis
and image centre; a line is `x cos η + y sin η = s`. Lengths are in the unit of `pixel_size`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from torch import Tensor

from wellposed.errors import InputError

G = TypeVar("G", bound="Geometry")


@dataclass(frozen=True, eq=False)
class Geometry:
    """Views at `angles` (radians) of an image, each read by `bins` bins `bin_spacing` apart.

    `rotation_centre` is the fractional bin onto which the rotation axis projects.
    """

    shape: tuple[int, int]
    pixel_size: float
    angles: np.ndarray
    bins: int
    bin_spacing: float
    rotation_centre: float

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or self.bins < 1:
            raise InputError(f"a scan needs pixels and bins; shape={self.shape}, bins={self.bins} were given")

    def lines(self, view: np.ndarray, bin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normal angle `η` and signed distance `s` (length) of the line of each (view, bin) pair."""
        raise NotImplementedError

    def locate(self, cos: Tensor, sin: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """The fractional bin onto which the point `(x, y)` projects in the view of angle `(cos, sin)`.

        The second value is the point's distance from the source relative to the rotation axis',
        `None` where the source is at infinity.
        """
        raise NotImplementedError

    @property
    def half_turn_identity(self) -> bool:
        """Whether view `a + π` measures the lines of view `a`, with the bins reversed."""
        raise NotImplementedError

    @property
    def axis_spacing(self) -> float:
        """Distance (length) of neighbouring lines where they pass the rotation axis."""
        raise NotImplementedError

    @property
    def reach(self) -> float:
        """A bound on the bins between a pixel's projection and the farthest line that touches the pixel."""
        raise NotImplementedError

    @property
    def views(self) -> int:
        return len(self.angles)

    @property
    def detector(self) -> np.ndarray:
        """Coordinates of the bins along the detector (length), 0 where the rotation axis projects."""
        return (np.arange(self.bins) - self.rotation_centre) * self.bin_spacing

    @property
    def centred(self) -> bool:
        """Whether the detector is symmetric about the rotation axis."""
        return abs(self.rotation_centre - middle(self.bins)) < 1e-9 * self.bins

    @property
    def radius(self) -> float:
        """Radius of the circle around the image (length)."""
        return float(np.hypot(*self.shape)) * self.pixel_size / 2

    def entries(self) -> int:
        """About how many nonzeros the matrix of Joseph weights has (exact where the detector covers all).

        A line touches the pixels nearer than one pixel along the image axis it is most normal to.
        """
        width = np.maximum(np.abs(np.cos(self.angles)), np.abs(np.sin(self.angles)))
        per_pixel = 2 * width.sum() * self.pixel_size / self.axis_spacing
        longest = 2 * max(self.shape) * self.views * self.bins
        return int(min(per_pixel * self.shape[0] * self.shape[1], longest))

    def select(self: G, views: np.ndarray) -> G:
        """The same scan with some of its views."""
        return replace(self, angles=self.angles[views])


def check_lengths(**lengths: float | None) -> None:
    """Raise `InputError` unless all lengths that are given are positive."""
    for name, length in lengths.items():
        if length is not None and not 0 < length < math.inf:
            raise InputError(f"{name} must be a positive length; {length} was given")


def middle(bins: int) -> float:
    """The fractional bin in the middle of a detector."""
    return (bins - 1) / 2
