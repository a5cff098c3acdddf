"""Measured parallel-beam sinograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.files import read_array

from ..ct.angles import AngleUnit, in_radians, view_angles
from ..ct.parallel_beam import ParallelBeam
from .arguments import check_counts
from .detector import binned, reduced
from .rotation_centre import estimated_rotation_centre

#: Share of the bins, on either side, whose rays are taken to pass through air.
_BORDER = 0.02


class SinogramFile(Dataset):
    """One parallel-beam scan from a file, with its geometry: a sinogram of line integrals.

    Args:
        path: the file: tif mat npy npz h5 png.
        key: of the array, in files with several.
        transposed: the file holds (bins, views) instead of (views, bins).
        angles: the view angles as a list, or the key of the array in the same file that holds them. Without
            them, views are spread evenly:
        arc: over this angle, from 0 on, its end not included; by default half a turn.
        last: from 0 to this angle, which is the last view's.
        unit: of all angles, those in the file as well, radian or degree (see `wellposed_physics.ct.angles`).
        flat_field: the intensity `I₀` without object, to turn intensities into line integrals
            `−log(I/I₀)`: a number, or `border-median`, the median of the outermost 2 % of the bins on either
            side. Bins that counted nothing are interpolated from their neighbours. Without it the file
            holds line integrals.
        offset: subtracted from line integrals: a number, or `border-median`.
        scale: what the result is multiplied with.
        rotation_centre: the fractional bin, counted from 0, onto which the rotation axis projects;
            `middle`; or `estimated` from opposite views, which a run says in its report, results and recipe.
        bin_spacing: distance of the bins (length); images are in its inverse.
        reduce_bins: average this many neighbouring bins.
        view_step: take each `view_step`-th view.
        size: rows and columns of the image, which is as wide as the detector; by default the number of bins.

    One sample: measurement `(1, views, bins)`, no truth, and the `parallel-beam` operator. Raises
    `InputError` for files that cannot be read, are not two-dimensional or not finite, and for angles that
    do not fit.
    """

    source = "the user's own scan; Beer 1852 (transmission)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(
        self,
        path: str,
        key: str | None = None,
        transposed: bool = False,
        angles: Sequence[float] | str | None = None,
        arc: float | None = None,
        last: float | None = None,
        unit: AngleUnit = "radian",
        flat_field: float | Literal["border-median"] | None = None,
        offset: float | Literal["border-median"] = 0.0,
        scale: float = 1.0,
        rotation_centre: float | Literal["middle", "estimated"] = "middle",
        bin_spacing: float = 1.0,
        reduce_bins: int = 1,
        view_step: int = 1,
        size: int | None = None,
    ) -> None:
        check_counts(
            self, reduce_bins=(reduce_bins, 1), view_step=(view_step, 1), size=(1 if size is None else size, 1)
        )
        self.path = Path(path)
        rows = _rows(self.path, key, transposed)
        if flat_field is not None:
            rows = _line_integrals(rows, flat_field, self.path)
        rows = (rows - (_border_median(rows) if isinstance(offset, str) else offset)) * scale
        self.angles = _angles(self.path, angles, arc, last, unit, len(rows))
        centre = _centre(rotation_centre, rows, self.angles)
        rows, self.angles = reduced(rows[::view_step], reduce_bins), self.angles[::view_step]
        self._estimated = {"rotation_centre": centre} if rotation_centre == "estimated" else {}
        self.rotation_centre = binned(centre, reduce_bins)
        self._measurement = torch.from_numpy(rows).float()[None]
        bins, spacing = rows.shape[1], bin_spacing * reduce_bins
        pixels = bins if size is None else size
        self.operator = ParallelBeam(
            shape=(pixels, pixels),
            angles=self.angles.tolist(),
            bins=bins,
            bin_spacing=spacing,
            pixel_size=spacing * bins / pixels,
            rotation_centre=self.rotation_centre,
        )

    def estimated(self) -> Mapping[str, float]:
        return self._estimated

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        self.check_index(index)
        return Sample(self.path.name, None, self._measurement.clone(), self.operator)


def _rows(path: Path, key: str | None, transposed: bool) -> np.ndarray:
    array = read_array(path, key)
    if array.ndim != 2 or array.dtype.kind == "c":
        raise InputError(f"{path}: a sinogram is a real array (views, bins), not {array.dtype} {array.shape}")
    rows = np.array(array.T if transposed else array, dtype=np.float64)
    if not np.isfinite(rows).all():
        raise InputError(f"the sinogram in {path} holds numbers that are not finite")
    return rows


def _line_integrals(intensity: np.ndarray, flat_field: float | str, path: Path) -> np.ndarray:
    """`−log(I/I₀)`, bins without counts interpolated along the detector."""
    flat = _border_median(intensity) if isinstance(flat_field, str) else flat_field
    if not flat > 0:
        raise InputError(f"{path}: the flat field, the intensity without object, must be positive; it is {flat:g}")
    counted = intensity > 0
    integrals = -np.log(np.where(counted, intensity, flat) / flat)
    bins = np.arange(intensity.shape[1])
    for view in np.flatnonzero(~counted.all(1)):
        good = counted[view]
        if not good.any():
            raise InputError(f"{path}: view {view} counted nothing in any bin; are these line integrals already?")
        integrals[view] = np.interp(bins, bins[good], integrals[view, good])
    return integrals


def _border_median(rows: np.ndarray) -> float:
    width = max(3, round(_BORDER * rows.shape[1]))
    return float(np.median(np.concatenate([rows[:, :width], rows[:, -width:]], axis=1)))


def _angles(
    path: Path,
    angles: Sequence[float] | str | None,
    arc: float | None,
    last: float | None,
    unit: AngleUnit,
    views: int,
) -> np.ndarray:
    """The angle of each view in radians."""
    if sum(a is not None for a in (angles, arc, last)) > 1:
        raise InputError("the angles of a SinogramFile come from angles, or from arc, or from last; give one")
    if angles is None:
        return view_angles(views, arc, 0.0, last, unit, full_arc=math.pi)
    if isinstance(angles, str):
        found = in_radians(read_array(path, angles).ravel(), unit, f"the angles {angles!r} of {path}")
    else:
        found = in_radians(angles, unit)
    if len(found) != views:
        raise InputError(
            f"{path} holds {views} views and {len(found)} angles were given; if the file is (bins, views), set "
            f"transposed"
        )
    return found


def _centre(given: float | str, rows: np.ndarray, angles: np.ndarray) -> float:
    if given == "estimated":
        return estimated_rotation_centre(rows, angles)
    middle = (rows.shape[1] - 1) / 2
    if isinstance(given, str):
        return middle
    if not 0 <= given <= rows.shape[1] - 1:
        raise InputError(f"rotation_centre is one of the bins 0 to {rows.shape[1] - 1}; {given} was given")
    return float(given)
