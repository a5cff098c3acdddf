"""From measured k-space to an operator with coil maps and a reference image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.pattern import Pattern

from ..mri.fourier import Fourier
from ..mri.multicoil import MulticoilFourier
from ..mri.sensitivities import espirit, smooth_maps

MapName = Literal["espirit", "smooth"]

_ESTIMATES: dict[MapName, Callable[..., Tensor]] = {"espirit": espirit, "smooth": smooth_maps}

#: Sides of the calibration square: no larger than is useful, no smaller than an ESPIRiT kernel needs.
_LARGEST, _SMALLEST = 24, 8


def mri_operator(kspace: Tensor, mask: Tensor, maps: MapName, where: object) -> Fourier | MulticoilFourier:
    """The operator of k-space `(coils, H, W)` observed on `mask` `(H, W)`; maps estimated from its centre.

    Raises `InputError`, beginning with `where`, where the centre is not fully observed.
    """
    size = (kspace.shape[-2], kspace.shape[-1])
    if len(kspace) == 1:
        return Fourier(size, mask)
    side = calibration_side(mask, where)
    estimate = partial(_ESTIMATES[maps], calibration=side)
    return MulticoilFourier(size, mask, estimate((kspace * mask)[None])[0])


def calibration_side(mask: Tensor, where: object) -> int:
    """The side of the largest square around DC, up to 24, in which everything is observed."""
    for side in range(min(_LARGEST, *mask.shape), _SMALLEST - 1, -1):
        top, left = (n // 2 - side // 2 for n in mask.shape)
        if bool(mask[top : top + side, left : left + side].all()):
            return side
    raise InputError(
        f"{where}: coil maps are estimated from the centre of k-space, but not all of its central "
        f"{_SMALLEST} × {_SMALLEST} samples are observed"
    )


def observed(kspace: Tensor) -> Tensor:
    """Where any coil measured anything, bool `(H, W)`."""
    return (kspace != 0).any(0)


def is_complete(mask: Tensor) -> bool:
    """Whether all samples of a rectangle around DC are observed and none beside: full sampling, maybe zero-filled."""
    rows, columns = mask.any(1), mask.any(0)
    whole = rows[:, None] & columns
    contiguous = all(bool((line.nonzero().diff(dim=0) == 1).all()) for line in (rows, columns))
    return bool((mask == whole).all()) and contiguous and bool(mask[mask.shape[0] // 2, mask.shape[1] // 2])


def thinned(mask: Tensor, pattern: Pattern | None, where: object) -> Tensor:
    """`mask` and the retrospective `pattern`; raises `InputError` where nothing is left."""
    if pattern is None:
        return mask
    chosen = pattern((mask.shape[0], mask.shape[1])).bool()
    if chosen.shape != mask.shape:
        raise InputError(f"{where} has k-space of {tuple(mask.shape)}; the mask given is {tuple(chosen.shape)}")
    left = mask & chosen
    if not bool(left.any()):
        raise InputError(f"{where}: the mask keeps none of the measured samples")
    return left


def coil_images(kspace: Tensor) -> Tensor:
    """Inverse centred Fourier transform of each coil."""
    return Fourier((kspace.shape[-2], kspace.shape[-1]), channels=len(kspace)).adjoint(kspace[None])[0]


def root_sum_of_squares(images: Tensor) -> Tensor:
    """`(Σ|c_j|²)^½`, real `(1, H, W)`."""
    return torch.view_as_real(images).square().sum((0, -1)).sqrt()[None]
