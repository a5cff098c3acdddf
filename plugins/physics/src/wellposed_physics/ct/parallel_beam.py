"""Parallel-beam computed tomography."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue

from ..operators.arguments import image_size
from .angles import AngleUnit, view_angles, view_cells
from .backprojection import interpolating_backprojection
from .engine import EngineName
from .filters import FilterName, filter_sinogram
from .geometry import check_lengths, middle
from .parallel_geometry import ParallelGeometry
from .tomography import Tomography

BackprojectionName = Literal["auto", "adjoint", "interpolated"]

#: The adjoint backprojects well where bins are about as wide as pixels.
_MATCHED = (0.9, 1.1)


class ParallelBeam(Tomography):
    """Line integrals along parallel lines: the two-dimensional Radon transform.

    `(A x)(a, b) = ∫ x along the line {x cos a + y sin a = s_b}`, `s_b = (b − rotation_centre)·bin_spacing`,

    with x to the right, y up, image row 0 at the top and the origin in the middle of the image (the
    convention of ASTRA). Images `(B, channels, *shape)`, sinograms `(B, channels, views, bins)`; the
    values are integrals in the unit of length of `pixel_size`. The image is interpolated linearly along
    its rows or columns (Joseph 1982); the adjoint is the exact transpose.

    Args:
        shape: rows and columns of the image.
        angles: a list of view angles, or their number `N`: cell-centred at `(k + ½)·arc/N`.
        bins: number of detector bins; by default enough to cover the image's diagonal.
        bin_spacing: distance of the bins (length); by default `pixel_size`.
        pixel_size: side of a pixel (length).
        rotation_centre: fractional bin, counted from 0, onto which the rotation axis projects; by
            default the middle, `(bins − 1)/2`.
        arc: the arc that a number of views is spread over; by default half a turn.
        first: angle of the first of a number of views; they are then at `first + k·arc/N`.
        last: angle of the last of a number of views, evenly from `first` to `last`, both included.
        unit: of all angles given here, radian or degree (see `wellposed_physics.ct.angles`).
        channels: images that are projected side by side.
        engine: how it is computed. `auto`: `sparse` if that fits into `memory_limit`, else
            `matrix-free`. `sparse` stores the matrix and its transpose, reduced by the symmetries of the
            scan (up to 8 times). `matrix-free` stores nothing and is several times slower. `astra` uses
            the ASTRA toolbox, where installed.
        memory_limit: what `auto` may store (MiB).

    No weights: `A` and `A*` refer to plain sums over pixels and over measurements, `A*` is the transpose
    of `A`. Some libraries weight the data space by its cell, (angle step)·(bin spacing), silently; then
    `½‖Ax − y‖²` and every parameter that balances it change by that factor. Here such a weight is a part
    of the fidelity and is written there: `l2(weight=0.10359)`.

    Raises `InputError` for arguments that describe no scan.
    """

    source = "Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE TMI 1, 1982"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        # The sums of the columns, and of the rows from below.
        views = {"shape": [2, 2], "angles": [0.0, 90.0], "unit": "degree", "bins": 2}
        return (KnownValue(([[[[1.0, 2.0], [3.0, 4.0]]]],), [[[[4.0, 6.0], [7.0, 3.0]]]], views),)

    def __init__(
        self,
        shape: tuple[int, int],
        angles: int | Sequence[float],
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
        check_lengths(pixel_size=pixel_size, bin_spacing=bin_spacing)
        spacing = pixel_size if bin_spacing is None else bin_spacing
        if bins is None:
            bins = covering_bins(math.hypot(*shape) * pixel_size, spacing)
        centre = middle(bins) if rotation_centre is None else rotation_centre
        views = view_angles(angles, arc, first, last, unit, full_arc=math.pi)
        geometry = ParallelGeometry(shape, pixel_size, views, bins, spacing, centre)
        super().__init__(geometry, channels, engine, memory_limit)

    @classmethod
    def examples(cls) -> tuple[Mapping[str, Any], ...]:
        return (
            {"shape": [16, 16], "angles": 12},
            {"shape": [16, 12], "angles": [0, 25, 50, 140, 200], "unit": "degree", "rotation_centre": 10.3},
            {"shape": [8, 8], "angles": 10, "first": 0, "arc": 360, "unit": "degree", "bins": 9, "bin_spacing": 1.3},
            {"shape": [12, 12], "angles": 8, "pixel_size": 0.5, "channels": 2, "engine": "matrix-free"},
        )

    def filtered_backprojection(
        self,
        y: Tensor,
        filter: FilterName = "ram-lak",
        cutoff: float = 1.0,
        backprojection: BackprojectionName = "auto",
    ) -> Tensor:
        """Filtered backprojection `∫ (y ⊛ ramp)(a, x cos a + y sin a) da` over half a turn.

        Views count for the arc they stand for, so that full turns, views measured twice and uneven
        angles come out right; arcs that were not measured are left out. `filter` is the window on the
        ramp, `cutoff` where it ends, as a fraction of the Nyquist frequency. `backprojection` is by the
        operator's adjoint (fast) or interpolates along the detector (sharper, and right where bins and
        pixels differ in size); `auto` takes the adjoint if they differ by no more than 10 %.
        """
        self.check_range(y)
        interpolated = self._interpolates(backprojection)
        geometry = self.geometry
        filtered = filter_sinogram(y, geometry.bin_spacing, filter, cutoff)
        cells = torch.as_tensor(view_cells(geometry.angles, math.pi), dtype=y.dtype, device=y.device)
        filtered = filtered * cells[:, None]
        if interpolated:
            return interpolating_backprojection(filtered, geometry)
        return self.adjoint(filtered) * (geometry.bin_spacing / geometry.pixel_size**2)

    def _pinv(self, y: Tensor) -> Tensor:
        return self.filtered_backprojection(y)

    def _interpolates(self, backprojection: BackprojectionName) -> bool:
        low, high = _MATCHED
        matched = low <= self.geometry.bin_spacing / self.geometry.pixel_size <= high
        choices = {"auto": not matched, "adjoint": False, "interpolated": True}
        if backprojection not in choices:
            raise InputError(f"there is no backprojection {backprojection!r}; choose one of {', '.join(choices)}")
        return choices[backprojection]


def covering_bins(width: float, spacing: float) -> int:
    """The odd number of bins that covers `width` from both sides of the middle."""
    return 2 * math.ceil(width / (2 * spacing) - 1e-9) + 1
