"""What all metrics do before they compare: check shapes, reduce each image, state a data range."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError


def check_pair(x: Tensor, truth: Tensor, metric: object) -> None:
    """Raise `ShapeError` unless both are batches of the same images."""
    if x.shape != truth.shape or x.ndim < 2:
        raise ShapeError(
            f"{type(metric).__name__} compares images (batch, channels, …) of one shape; the reconstruction "
            f"has {tuple(x.shape)} and the truth {tuple(truth.shape)}"
        )


def magnitudes(x: Tensor) -> Tensor:
    """Complex images by their magnitude; real images, signs included, as they are."""
    return x.abs() if x.is_complex() else x


def mean_square(x: Tensor) -> Tensor:
    """Mean of `|x|²` over each image, `(B,)`, summed in double precision."""
    return energy(x) / x[0].numel()


def energy(x: Tensor) -> Tensor:
    """`‖x‖²` of each image, `(B,)`."""
    parts = torch.view_as_real(x) if x.is_complex() else x
    return parts.double().square().flatten(1).sum(1)


def data_ranges(truth: Tensor, given: float | None, metric: object) -> Tensor:
    """The given data range, or `max − min` of each true image, `(B,)`; raises `InputError` where that is 0."""
    if given is not None:
        return torch.full((len(truth),), given, dtype=torch.float64, device=truth.device)
    flat = truth.flatten(1).double()
    ranges = flat.amax(1) - flat.amin(1)
    if bool((ranges == 0).any()):
        index = int((ranges == 0).nonzero()[0])
        raise InputError(
            f"{type(metric).__name__}: the true image {index} is constant, so max − min gives no data range; "
            f"state data_range"
        )
    return ranges


def check_data_range(data_range: float | None, metric: object) -> None:
    if data_range is not None and not 0 < data_range < float("inf"):
        raise InputError(f"{type(metric).__name__} takes a positive data_range or none; {data_range} was given")
