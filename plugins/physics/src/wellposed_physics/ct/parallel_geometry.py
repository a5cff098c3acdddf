"""Parallel lines: the source is at infinity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .geometry import Geometry


@dataclass(frozen=True, eq=False)
class ParallelGeometry(Geometry):
    """View `a` measures the lines `x cos a + y sin a = s`, `s` the coordinate of the bin."""

    def lines(self, view: np.ndarray, bin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.angles[view], self.detector[bin]

    def locate(self, cos: Tensor, sin: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        scale = 1.0 / self.bin_spacing
        return (cos * scale) * x + ((sin * scale) * y + self.rotation_centre), None

    @property
    def half_turn_identity(self) -> bool:
        return True

    @property
    def axis_spacing(self) -> float:
        return self.bin_spacing

    @property
    def reach(self) -> float:
        return self.pixel_size / self.bin_spacing
