"""Lines that fan out from a point source onto a flat detector."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from wellposed.errors import InputError

from .geometry import Geometry


@dataclass(frozen=True, eq=False)
class FanGeometry(Geometry):
    """View `a`: source at `R (sin a, −cos a)`, detector axis `(cos a, sin a)` at distance `D` from it.

    With `tan γ = u/D` for the bin at `u`, its line has the normal angle `a − γ` and the distance
    `R sin γ`. (ASTRA's `fanflat`.)
    """

    source_origin: float
    source_detector: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.source_origin > self._rim:
            raise InputError(
                f"the source must stay outside the image: source_origin={self.source_origin:g} is not larger "
                f"than the image's half diagonal, {self._rim:g}; check that both are in one unit of length"
            )

    @property
    def fan_angles(self) -> np.ndarray:
        """`γ` of each bin (radians)."""
        return np.arctan(self.detector / self.source_detector)

    def lines(self, view: np.ndarray, bin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gamma = self.fan_angles[bin]
        return self.angles[view] - gamma, self.source_origin * np.sin(gamma)

    def locate(self, cos: Tensor, sin: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        depth = (cos * y - sin * x) / self.source_origin + 1.0
        scale = self.source_detector / (self.source_origin * self.bin_spacing)
        return scale * (cos * x + sin * y) / depth + self.rotation_centre, depth

    @property
    def half_turn_identity(self) -> bool:
        return False

    @property
    def axis_spacing(self) -> float:
        return self.bin_spacing * self.source_origin / self.source_detector

    @property
    def reach(self) -> float:
        nearest = self.source_origin - self._rim
        slant = math.hypot(1.0, self._rim / nearest)
        return self.source_detector * self.pixel_size * slant / (nearest * self.bin_spacing)

    @property
    def _rim(self) -> float:
        """Radius of all that the lines' footprints touch: the image and one pixel more."""
        return self.radius + self.pixel_size
