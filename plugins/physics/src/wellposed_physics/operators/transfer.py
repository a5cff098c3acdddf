"""Circular convolution of real images in Fourier space."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.pattern import Pattern

from .arguments import resolve


def resolve_kernel(kernel: Pattern | Tensor, size: tuple[int, int], owner: object) -> Tensor:
    """A kernel as `(h, w)` floating-point tensor no larger than the image; a `Parameter` stays one."""
    name = type(owner).__name__
    values = kernel if isinstance(kernel, torch.nn.Parameter) else resolve(kernel, size)
    if values.ndim != 2:
        raise ShapeError(f"{name} takes a kernel of shape (height, width); {tuple(values.shape)} was given")
    if values.is_complex():
        raise InputError(f"{name} takes a real kernel; {values.dtype} was given")
    if values.shape[0] > size[0] or values.shape[1] > size[1]:
        raise ShapeError(f"{name}: the kernel {tuple(values.shape)} is larger than the image {size}")
    return values if values.is_floating_point() else values.to(torch.get_default_dtype())


def transfer_function(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Half-spectrum `(H, W//2 + 1)` of the kernel with its middle entry `(h//2, w//2)` at the origin."""
    height, width = kernel.shape
    padded = torch.nn.functional.pad(kernel, (0, size[1] - width, 0, size[0] - height))
    return torch.fft.rfft2(padded.roll((-(height // 2), -(width // 2)), (0, 1)))


def filtered(x: Tensor, transfer: Tensor) -> Tensor:
    """`F⁻¹ (transfer · F x)` of real images `(…, H, W)`."""
    return torch.fft.irfft2(torch.fft.rfft2(x) * transfer, s=x.shape[-2:])


def squared(transfer: Tensor) -> Tensor:
    """`|transfer|²`, real."""
    return torch.view_as_real(transfer).square().sum(-1)
