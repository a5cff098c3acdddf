"""Ramp filtering of sinograms, with the usual windows.

The ramp is sampled in space, where the band-limited kernel has a closed form, and not in frequency,
where sampling would make its mean wrong and shade the image (Kak and Slaney 1988, section 3.3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from wellposed.errors import InputError

FilterName = Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"]
Window = Callable[[Tensor], Tensor]


def ram_lak(frequency: Tensor) -> Tensor:
    """No window: 1."""
    return torch.ones_like(frequency)


def shepp_logan(frequency: Tensor) -> Tensor:
    """`sin(πf/2) / (πf/2)`."""
    return torch.sinc(frequency / 2)


def cosine(frequency: Tensor) -> Tensor:
    """`cos(πf/2)`."""
    return torch.cos(frequency * (math.pi / 2))


def hamming(frequency: Tensor) -> Tensor:
    """`0.54 + 0.46 cos(πf)`."""
    return 0.54 + 0.46 * torch.cos(frequency * math.pi)


def hann(frequency: Tensor) -> Tensor:
    """`cos²(πf/2)`."""
    return torch.cos(frequency * (math.pi / 2)) ** 2


#: Windows as functions of the frequency, 1 at the cutoff.
WINDOWS: dict[FilterName, Window] = {
    "ram-lak": ram_lak,
    "shepp-logan": shepp_logan,
    "cosine": cosine,
    "hamming": hamming,
    "hann": hann,
}


def filter_sinogram(y: Tensor, spacing: float, filter: FilterName, cutoff: float) -> Tensor:
    """The convolution of `y` with the windowed ramp along its last axis, as an integral over the detector.

    `cutoff`, in (0, 1], is a fraction of the Nyquist frequency `1 / (2·spacing)`; nothing passes above.
    """
    if filter not in WINDOWS:
        raise InputError(f"there is no filter {filter!r}; choose one of {', '.join(WINDOWS)}")
    if not 0 < cutoff <= 1:
        raise InputError(f"cutoff is a fraction of the Nyquist frequency, in (0, 1]; {cutoff} was given")
    bins = y.shape[-1]
    length = 2 ** math.ceil(math.log2(2 * bins))  # zeros keep the circular convolution linear
    ramp = torch.fft.rfft(_ramp_kernel(length, spacing, y)).real * spacing
    frequency = torch.linspace(0, 1, length // 2 + 1, dtype=y.dtype, device=y.device) / cutoff
    response = ramp * WINDOWS[filter](frequency) * (frequency <= 1)
    return torch.fft.irfft(torch.fft.rfft(y, length) * response, length)[..., :bins]


def _ramp_kernel(length: int, spacing: float, like: Tensor) -> Tensor:
    """The band-limited ramp at multiples of `spacing`: `1/4`, 0 at even, `−1/(πn)²` at odd `n`, over `spacing²`."""
    n = torch.arange(length, dtype=like.dtype, device=like.device)
    n = torch.minimum(n, length - n)
    kernel = torch.where(n % 2 == 1, -1 / (math.pi * n.clamp(min=1)) ** 2, torch.zeros_like(n))
    kernel[0] = 0.25
    return kernel / spacing**2
