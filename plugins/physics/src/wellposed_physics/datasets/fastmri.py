"""The fastMRI collection."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.files.guard import existing, reading
from wellposed.files.hdf5 import opened_hdf5
from wellposed.files.limits import check_size, limit_of
from wellposed.pattern import Pattern

from ..mri.fourier import Fourier
from .arguments import check_counts
from .image_folder import find_files
from .kspace import MapName, coil_images, mri_operator, observed, root_sum_of_squares, thinned

_REFERENCES = ("reconstruction_rss", "reconstruction_esc")


class FastMRI(Dataset):
    """Slices of fastMRI volumes: measured k-space and the reference image of the file.

    Args:
        path: a file, or a folder of .h5 files with `kspace` (slices, coils, H, W) or (slices, H, W).
        slices: which slices of each volume, counted from 0, negative ones from the end; by default all.
        size: the coil images are cut to the central `size × size` and transformed back, which removes the
            oversampled readout. Volumes that were undersampled when measured (the test set) are cut along
            their rows alone, since their mask is along the columns. Without it nothing is cut.
        mask: keeps a part of what was measured: retrospective undersampling.
        maps: how the sensitivities are estimated from the measurement's centre, `smooth` or `espirit`.

    Samples: measurement `(coils, H, W)`, complex; truth `(1, H, W)`, real: `reconstruction_rss` or
    `reconstruction_esc` where it has the sample's size, else the root sum of squares of fully sampled
    k-space, else none; the operator (`multicoil-fourier`, or `fourier` for one coil). All is scaled so
    that the largest value of the truth, or of the zero-filled image, is 1.

    Slices are read when they are needed. Raises `InputError` where there is no such file, with its path at
    a file that cannot be used, and where the centre of k-space is not fully observed.
    """

    source = "Zbontar et al. 2018, fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(
        self,
        path: str,
        slices: Sequence[int] | None = None,
        size: int | None = 320,
        mask: Pattern | None = None,
        maps: MapName = "smooth",
    ) -> None:
        check_counts(self, size=(size or 8, 8))
        self.size, self.mask = size, mask
        self.maps: MapName = maps
        self.files = find_files(Path(path), (".h5", ".hdf5"))
        self._slices = [_chosen(file, slices) for file in self.files]
        self._ends = list(accumulate(map(len, self._slices)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        position = bisect_right(self._ends, index)
        file = self.files[position]
        number = self._slices[position][index - (self._ends[position - 1] if position else 0)]
        kspace, reference, undersampled = _read(file, number)
        where = f"{file}[{number}]"
        kspace, acquired = self._cropped(kspace, undersampled)
        truth = _truth(kspace, reference, undersampled)
        kept = thinned(acquired, self.mask, where)
        peak = float((root_sum_of_squares(coil_images(kspace)) if truth is None else truth).max())
        if not 0 < peak < float("inf"):
            raise InputError(f"{where} is zero everywhere or not finite")
        measurement = kspace * kept / peak
        operator = mri_operator(measurement, kept, self.maps, where)
        return Sample(f"{file.stem}[{number}]", None if truth is None else truth / peak, measurement, operator)

    def _cropped(self, kspace: Tensor, undersampled: bool) -> tuple[Tensor, Tensor]:
        """k-space of the central part of the image, and what of it is observed."""
        if self.size is None:
            return kspace, observed(kspace)
        height = min(self.size, kspace.shape[-2])
        if undersampled:
            lines = observed(kspace).any(0)
            return _transformed(kspace, height, kspace.shape[-1]) * lines, lines.expand(height, -1)
        width = min(self.size, kspace.shape[-1])
        return _transformed(kspace, height, width), torch.ones(height, width, dtype=torch.bool)


def _chosen(file: Path, slices: Sequence[int] | None) -> list[int]:
    """Indices of the slices that are taken from a file; reads its header."""
    with _opened(file) as volume:
        count = len(volume["kspace"])
    if slices is None:
        return list(range(count))
    outside = [s for s in slices if not -count <= s < count]
    if outside:
        raise InputError(f"{file} has {count} slices and none numbered {outside[0]}")
    return [s % count for s in slices]


def _read(file: Path, number: int) -> tuple[Tensor, Tensor | None, bool]:
    """k-space `(coils, H, W)`, the reference `(1, H, W)` and whether the scan itself was undersampled."""
    with _opened(file) as volume, reading(file, "fastMRI"):
        kspace = np.asarray(volume["kspace"][number], dtype=np.complex64)
        name = next((n for n in _REFERENCES if n in volume), None)
        reference = None if name is None else torch.from_numpy(_reference(volume[name], number))
        undersampled = "mask" in volume
    kspace = torch.from_numpy(kspace if kspace.ndim == 3 else kspace[None])
    return kspace, None if reference is None else reference[None], undersampled


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    existing(file)
    with reading(file, "HDF5"), opened_hdf5(file) as volume:
        kspace = volume.get("kspace")
        if getattr(kspace, "ndim", 0) not in (3, 4):
            keys = ", ".join(volume)
            raise InputError(f"{file} has no dataset kspace (slices, coils, H, W) or (slices, H, W); it has {keys}")
        check_size(file, kspace.shape[1:], kspace.dtype.itemsize, limit_of(file), "one slice of kspace")
        yield volume


def _reference(images: Any, number: int) -> np.ndarray:
    """Slice `number` of the reference `(slices, H, W)`."""
    if images.ndim != 3 or not 0 <= number < len(images):
        raise InputError(
            f"{images.file.filename}, {images.name}, has the shape {images.shape}; (slices, H, W) with the slices of "
            f"kspace is needed"
        )
    return np.asarray(images[number], np.float32)


def _truth(kspace: Tensor, reference: Tensor | None, undersampled: bool) -> Tensor | None:
    height, width = kspace.shape[-2:]
    if reference is not None and min(reference.shape[-2] - height, reference.shape[-1] - width) >= 0:
        return _central(reference, height, width)
    return None if undersampled else root_sum_of_squares(coil_images(kspace))


def _transformed(kspace: Tensor, height: int, width: int) -> Tensor:
    if kspace.shape[-2:] == (height, width):
        return kspace
    images = _central(coil_images(kspace), height, width)
    return Fourier((height, width), channels=len(images))(images[None])[0]


def _central(images: Tensor, height: int, width: int) -> Tensor:
    """The central part; the pixel at `n//2` stays the centre."""
    top, left = images.shape[-2] // 2 - height // 2, images.shape[-1] // 2 - width // 2
    return images[..., top : top + height, left : left + width].contiguous()
