"""Measured Cartesian k-space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.files import read_array
from wellposed.pattern import Pattern

from ..mri.fourier import Fourier
from ..mri.multicoil import MulticoilFourier
from .kspace import MapName, coil_images, is_complete, mri_operator, observed, root_sum_of_squares, thinned


class KSpaceFile(Dataset):
    """One Cartesian MRI scan from a file: its k-space, mask and coil sensitivities.

    What is observed is what is not zero in all coils. Sensitivities are estimated from the centre of the
    measurement itself, from the largest fully observed square around DC up to 24 × 24. The data are scaled
    so that the largest root sum of squares of the zero-filled coil images is 1.

    Args:
        path: the file: mat npy npz h5, complex, DC in the middle (`H//2`, `W//2`).
        key: of the array, in files with several.
        coil_axis: the axis of the coils, counted from 0 or from the end; a 2-D array is one coil.
        mask: keeps a part of what was measured: retrospective undersampling.
        maps: how the sensitivities are estimated: `espirit`, or `smooth`, low-resolution images.
        transposed: swap the two axes of k-space, so that the image is mirrored on its diagonal.

    One sample: measurement `(coils, H, W)`, the operator (`multicoil-fourier`, or `fourier` for one coil),
    and as the truth the complex coil combination `(1, H, W)` of all that was measured, where that is fully
    sampled (a rectangle around DC, zero-filled or not); otherwise none. Raises `InputError` for files that
    cannot be read, are not complex, or not finite, and where the centre of k-space is not fully observed.
    """

    source = "Pruessmann et al. 1999, SENSE; Uecker et al. 2014, ESPIRiT"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(
        self,
        path: str,
        key: str | None = None,
        coil_axis: int = 0,
        mask: Pattern | None = None,
        maps: MapName = "espirit",
        transposed: bool = False,
    ) -> None:
        self.path = Path(path)
        kspace = _kspace(self.path, key, coil_axis)
        if transposed:
            kspace = kspace.mT.contiguous()
        peak = float(root_sum_of_squares(coil_images(kspace)).max())
        if peak == 0:
            raise InputError(f"the k-space in {path} is zero everywhere")
        kspace = kspace / peak
        acquired = observed(kspace)
        kept = thinned(acquired, mask, self.path)
        self._measurement = kspace * kept
        self.operator = mri_operator(self._measurement, kept, maps, self.path)
        self._truth = self._reference(kspace, acquired) if is_complete(acquired) else None

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        self.check_index(index)
        truth = None if self._truth is None else self._truth.clone()
        return Sample(self.path.name, truth, self._measurement.clone(), self.operator)

    def _reference(self, kspace: torch.Tensor, acquired: torch.Tensor) -> torch.Tensor:
        """The zero-filled coil combination of all that was measured, with the sample's own maps."""
        size = (kspace.shape[-2], kspace.shape[-1])
        if isinstance(self.operator, Fourier):
            return Fourier(size, acquired).zero_filled(kspace[None])[0]
        return MulticoilFourier(size, acquired, self.operator.sensitivities).zero_filled(kspace[None])[0]


def _kspace(path: Path, key: str | None, coil_axis: int) -> torch.Tensor:
    """The file's array as `(coils, H, W)`, complex64."""
    array = read_array(path, key)
    if array.dtype.kind != "c":
        raise InputError(f"{path}: k-space is complex; this array is {array.dtype}")
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and -3 <= coil_axis < 3:
        array = np.moveaxis(array, coil_axis, 0)
    else:
        raise InputError(f"{path}: k-space is (H, W) or (coils, H, W) with coil_axis in -3 … 2, not {array.shape}")
    kspace = torch.from_numpy(np.array(array, dtype=np.complex64, order="C"))
    if not bool(torch.isfinite(kspace).all()):
        raise InputError(f"the k-space in {path} holds numbers that are not finite")
    return kspace
