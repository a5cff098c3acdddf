"""Fan-beam computed tomography with a flat detector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..operators.arguments import image_size
from .angles import AngleUnit, view_angles, view_cells
from .backprojection import interpolating_backprojection
from .engine import EngineName
from .fan_geometry import FanGeometry
from .filters import FilterName, filter_sinogram
from .geometry import check_lengths, middle
from .parallel_beam import covering_bins
from .redundancy import redundancy_weights
from .tomography import Tomography


class FanBeam(Tomography):
    """Line integrals from a point source to the bins of a flat detector.

    `(A x)(a, b) = ∫ x along the line from the source to bin b`; in view `a` the source is at
    `source_origin·(sin a, −cos a)`, the detector's axis points along `(cos a, sin a)` at the distance
    `source_detector` from the source, and bin `b` is at `(b − rotation_centre)·bin_spacing` on it,

    with x to the right, y up, image row 0 at the top and the origin in the middle of the image (ASTRA's
    `fanflat`). Images `(B, channels, *shape)`, sinograms `(B, channels, views, bins)`; the values are
    integrals in the unit of length of `pixel_size`. The image is interpolated linearly along its rows
    or columns (Joseph 1982); the adjoint is the exact transpose, without weights (see `ParallelBeam`).

    Args:
        shape: rows and columns of the image.
        angles: a list of view angles, or their number `N`: cell-centred at `(k + ½)·arc/N`.
        source_origin: distance from the source to the rotation axis (length).
        source_detector: distance from the source to the detector (length).
        bins: number of detector bins; by default enough for the image's whole shadow.
        bin_spacing: distance of the bins on the detector (length); by default that of a pixel's shadow,
            `pixel_size·source_detector/source_origin`.
        pixel_size: side of a pixel (length).
        rotation_centre: fractional bin, counted from 0, onto which the rotation axis projects; by
            default the middle, `(bins − 1)/2`.
        arc: the arc that a number of views is spread over; by default a full turn.
        first: angle of the first of a number of views; they are then at `first + k·arc/N`.
        last: angle of the last of a number of views, evenly from `first` to `last`, both included.
        unit: of all angles given here, radian or degree (see `wellposed_physics.ct.angles`).
        channels: images that are projected side by side.
        engine: `auto`, `sparse`, `matrix-free` or `astra`, as for `ParallelBeam`.
        memory_limit: what `auto` may store (MiB).

    Raises `InputError` for arguments that describe no scan, among them a source inside the image.
    """

    source = "Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988, section 3.4.2; Joseph 1982"

    geometry: FanGeometry

    def __init__(
        self,
        shape: tuple[int, int],
        angles: int | Sequence[float],
        source_origin: float,
        source_detector: float,
        bins: int | None = None,
        bin_spacing: float | None = None,
        pixel_size: float = 1.0,
        rotation_centre: float | None = None,
        arc: float | None = None,
        first: float | None = None,
        last: float | None = None,
        unit: AngleUnit = "radian",
        channels: int = 1,
        engine: EngineName = "auto",
        memory_limit: float = 512.0,
    ) -> None:
        shape = image_size(shape, self)
        check_lengths(
            pixel_size=pixel_size,
            bin_spacing=bin_spacing,
            source_origin=source_origin,
            source_detector=source_detector,
        )
        magnification = source_detector / source_origin
        spacing = pixel_size * magnification if bin_spacing is None else bin_spacing
        if bins is None:
            bins = covering_bins(_shadow(shape, pixel_size, source_origin, source_detector), spacing)
        centre = middle(bins) if rotation_centre is None else rotation_centre
        views = view_angles(angles, arc, first, last, unit, full_arc=2 * math.pi)
        geometry = FanGeometry(shape, pixel_size, views, bins, spacing, centre, source_origin, source_detector)
        super().__init__(geometry, channels, engine, memory_limit)

    @classmethod
    def examples(cls) -> tuple[Mapping[str, Any], ...]:
        scanner = {"source_origin": 40.0, "source_detector": 60.0}
        return (
            {"shape": [16, 16], "angles": 12, **scanner},
            {
                "shape": [16, 12],
                "angles": 9,
                "first": 10,
                "last": 70,
                "unit": "degree",
                "bins": 21,
                **scanner,
            },
            {"shape": [8, 8], "angles": [0.1, 0.5, 2.0], "rotation_centre": 6.2, "channels": 2, **scanner},
            {"shape": [12, 12], "angles": 8, "engine": "matrix-free", **scanner},
        )

    def filtered_backprojection(self, y: Tensor, filter: FilterName = "ram-lak", cutoff: float = 1.0) -> Tensor:
        """Filtered backprojection for a flat detector: weights, ramp, weighted backprojection.

        The data are weighted by the cosine of the fan angle and by how often their line is measured:
        1/2 on full turns; smoothly where an arc of half a turn and more, or several arcs, measure some
        lines twice (a short scan needs half a turn and the fan angle). What no view measures is left
        out, so limited angles leave their well-known artefacts. `filter` and `cutoff` as for
        `ParallelBeam`; the pixel is interpolated along the detector and weighted by the inverse square
        of its distance from the source (Kak and Slaney 1988, section 3.4.2).
        """
        self.check_range(y)
        weights = torch.as_tensor(self._weights, dtype=y.dtype, device=y.device)
        filtered = filter_sinogram(y * weights, self.geometry.axis_spacing, filter, cutoff)
        return interpolating_backprojection(filtered, self.geometry)

    def _pinv(self, y: Tensor) -> Tensor:
        return self.filtered_backprojection(y)

    @cached_property
    def _weights(self) -> np.ndarray:
        """Cosine, redundancy and angular step of each ray, `(views, bins)`."""
        geometry = self.geometry
        steps = view_cells(geometry.angles, 2 * math.pi)[:, None]
        return np.cos(geometry.fan_angles) * redundancy_weights(geometry) * steps


def _shadow(shape: tuple[int, int], pixel_size: float, source_origin: float, source_detector: float) -> float:
    """Width of the shadow that the image's circumscribed circle throws on the detector."""
    radius = math.hypot(*shape) * pixel_size / 2
    if radius >= source_origin:  # refused with a sentence when the geometry is made
        return pixel_size
    return 2 * source_detector * radius / math.sqrt(source_origin**2 - radius**2)
