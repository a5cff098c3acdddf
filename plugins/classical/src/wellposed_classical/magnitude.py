"""Pointwise Euclidean lengths of real or complex fields, fast and safe to differentiate at zero."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def squared_magnitude(p: Tensor, axes: Sequence[int] = ()) -> Tensor:
    """`Σ_axes |p|²` with the summed axes kept, real.

    Slices are added one by one: reductions over a short leading axis are many times slower on the CPU.
    """
    total = torch.view_as_real(p).square().sum(-1) if p.is_complex() else p.square()
    for axis in axes:
        slices = total.unbind(axis)
        total = slices[0]
        for part in slices[1:]:
            total = total + part
        total = total.unsqueeze(axis)
    return total


def magnitude(p: Tensor, axes: Sequence[int] = ()) -> Tensor:
    """`(Σ_axes |p|²)^½` with the summed axes kept; its derivative where the length is 0 is taken as 0."""
    if not axes and not p.is_complex():
        return p.abs()
    squared = squared_magnitude(p, axes)
    if not (squared.requires_grad and torch.is_grad_enabled()):
        return squared.sqrt_()
    zero = squared == 0
    return torch.where(zero, 1.0, squared).sqrt().masked_fill(zero, 0.0)


def per_image(values: Tensor) -> Tensor:
    """Sum of each sample, shape `(B,)`."""
    return values.flatten(1).sum(1)


def inside_unit_ball(lengths: Tensor) -> Tensor:
    """0 for samples whose lengths are all at most 1 up to rounding, else `inf`; shape `(B,)`."""
    slack = 64 * torch.finfo(lengths.dtype).eps
    outside = ~(lengths <= 1 + slack).flatten(1).all(1)
    zeros = torch.zeros(len(lengths), dtype=lengths.dtype, device=lengths.device)
    return zeros.masked_fill(outside, torch.inf)
