"""Measured fan-beam sinograms of the Helsinki Tomography Challenge 2022."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.files import describe_file, read_array
from wellposed.files.matlab import read_text

from .arguments import check_counts
from .detector import binned, reduced
from .images import as_image, resized

if TYPE_CHECKING:
    from ..ct.fan_beam import FanBeam

#: Rows and columns of the challenge's images; their pixels have the file's effective pixel size.
_PIXELS = 512

#: Views of two files closer than this (degrees) are one view.
_SAME_ANGLE = 1e-6


class HTC2022(Dataset):
    """One object of the Helsinki Tomography Challenge 2022, from the challenge's files.

    The sinogram is already `−log(I/I₀)`, so images are attenuation in 1/mm. The operator is the scanner's
    own fan beam as the file states it: source to axis 410.66 mm, source to detector 553.74 mm, 560 bins of
    0.2 mm, pixels of 0.1483 mm at `size=512` (the field of view does not change with `size`).

    Args:
        paths: one or several .mat files of the same object; their views are merged, each angle once.
        start: take views from this angle on (degrees).
        stop: take views up to this angle (degrees); below `start`, through 360°.
        step: take each `step`-th view.
        size: rows and columns of the image.
        reduce_bins: average this many neighbouring bins.
        reference: a segmentation (png, of any size) as the truth: 0 and 1, material where it is above half.

    One sample: measurement `(1, views, bins)`, truth `(1, size, size)` or none, and the operator. Raises
    `InputError` for files of another kind, files of different objects, and where no view is left.
    """

    source = "Meaney, Silva de Moura, Siltanen 2022, Helsinki Tomography Challenge 2022, Zenodo 6984868"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(
        self,
        paths: str | Sequence[str],
        start: float | None = None,
        stop: float | None = None,
        step: int = 1,
        size: int = 512,
        reduce_bins: int = 1,
        reference: str | None = None,
    ) -> None:
        check_counts(self, step=(step, 1), size=(size, 2), reduce_bins=(reduce_bins, 1))
        self.size = size
        scans = [_Scan(Path(p)) for p in ([paths] if isinstance(paths, str) else paths)]
        if not scans:
            raise InputError("HTC2022 needs at least one file")
        self.name = scans[0].name
        angles, rows = _merged(scans)
        chosen = _between(angles, start, stop)[::step]
        if len(chosen) == 0:
            raise InputError(f"no view of {scans[0].path.name} lies between {start} and {stop} degrees")
        self.angles = angles[chosen]
        self._measurement = torch.from_numpy(reduced(rows[chosen], reduce_bins)).float()[None]
        self._truth = None if reference is None else _segmentation(Path(reference), size)
        self.operator = self._fan_beam(scans[0], reduce_bins)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        self.check_index(index)
        truth = None if self._truth is None else self._truth.clone()
        return Sample(self.name, truth, self._measurement.clone(), self.operator)

    def _fan_beam(self, scan: _Scan, factor: int) -> FanBeam:
        from ..ct.fan_beam import FanBeam

        width = scan.number("effectivePixelSizePost") * _PIXELS
        spacing, bins = scan.number("pixelSizePost"), scan.sinogram.shape[1]
        return FanBeam(
            shape=(self.size, self.size),
            angles=self.angles.tolist(),
            unit="degree",
            source_origin=scan.number("distanceSourceOrigin"),
            source_detector=scan.number("distanceSourceDetector"),
            bins=bins // factor,
            bin_spacing=spacing * factor,
            rotation_centre=binned((bins - 1) / 2, factor),
            pixel_size=width / self.size,
        )


class _Scan:
    """One file of the challenge."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = self._find_root()
        self.sinogram = np.asarray(read_array(path, f"{self._root}.sinogram"), dtype=np.float64)
        self.angles = read_array(path, f"{self._root}.parameters.angles").ravel().astype(float)
        if self.sinogram.ndim != 2 or len(self.angles) != len(self.sinogram):
            raise InputError(f"{path} has {len(self.angles)} angles for a sinogram of {self.sinogram.shape}")
        if not np.isfinite(self.sinogram).all():
            raise InputError(f"the sinogram in {path} holds numbers that are not finite")

    @property
    def name(self) -> str:
        return read_text(self.path, f"{self._root}.parameters.projectName").strip("_ ") or self.path.stem

    @property
    def geometry(self) -> tuple[float, ...]:
        names = ("distanceSourceOrigin", "distanceSourceDetector", "pixelSizePost", "effectivePixelSizePost")
        return (*(self.number(name) for name in names), float(self.sinogram.shape[1]))

    def number(self, name: str) -> float:
        return float(read_array(self.path, f"{self._root}.parameters.{name}").ravel()[0])

    def _find_root(self) -> str:
        """`CtDataFull` or `CtDataLimited`."""
        keys = [info.key for info in describe_file(self.path)]
        roots = sorted({k.partition(".")[0] for k in keys if k.endswith(".sinogram")})
        if len(roots) != 1:
            raise InputError(f"{self.path} is no file of HTC 2022: it has no struct with a sinogram and parameters")
        return roots[0]


def _merged(scans: list[_Scan]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct angles in ascending order, and their rows; views that two files share must agree."""
    for scan in scans[1:]:
        if scan.name != scans[0].name or scan.geometry != scans[0].geometry:
            raise InputError(
                f"{scan.path} ({scan.name}) and {scans[0].path} ({scans[0].name}) are not scans of one object "
                f"with one geometry, so their views cannot be merged"
            )
    angles = np.concatenate([scan.angles for scan in scans])
    rows = np.concatenate([scan.sinogram for scan in scans])
    order = np.argsort(angles, kind="stable")
    angles, rows = angles[order], rows[order]
    again = np.flatnonzero(np.diff(angles) < _SAME_ANGLE) + 1
    for i in again:
        if np.abs(rows[i] - rows[i - 1]).max() > 0.05 * np.abs(rows[i]).max():
            raise InputError(f"{scans[0].path} and another file differ at {angles[i]:g}°: they show different objects")
    return np.delete(angles, again), np.delete(rows, again, axis=0)


def _between(angles: np.ndarray, start: float | None, stop: float | None) -> np.ndarray:
    """Indices of the views from `start` to `stop`, both included, in the order they are passed."""
    low = angles.min() if start is None else start
    high = angles.max() if stop is None else stop
    if low <= high:
        return np.flatnonzero((angles >= low - _SAME_ANGLE) & (angles <= high + _SAME_ANGLE))
    return np.r_[np.flatnonzero(angles >= low - _SAME_ANGLE), np.flatnonzero(angles <= high + _SAME_ANGLE)]


def _segmentation(path: Path, size: int) -> torch.Tensor:
    image = as_image(read_array(path), path, grayscale=True)
    return (resized(image, size) > 0.5 * image.max()).float()
