"""The discrete cosine transform of type II and its inverse, batched, by real FFTs of the same length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def cosine_transform(x: Tensor, axes: Sequence[int]) -> Tensor:
    """`X[k] = Σ_j x[j] cos(πk(2j + 1)/2n)` along each of `axes`; `x` real.

    Source: Makhoul 1980, A Fast Cosine Transform in One and Two Dimensions.
    """
    for axis in axes:
        x = _forward_last(x.movedim(axis, -1)).movedim(-1, axis)
    return x


def inverse_cosine_transform(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The inverse of `cosine_transform`."""
    for axis in axes:
        x = _inverse_last(x.movedim(axis, -1)).movedim(-1, axis)
    return x


def _forward_last(x: Tensor) -> Tensor:
    n = x.shape[-1]
    folded = torch.cat([x[..., 0::2], x[..., 1::2].flip(-1)], -1)
    turned = torch.fft.rfft(folded) * _phases(n, x)
    return torch.cat([turned.real, -turned.imag[..., 1 : (n + 1) // 2].flip(-1)], -1)


def _inverse_last(x: Tensor) -> Tensor:
    n = x.shape[-1]
    half = n // 2 + 1
    imaginary = torch.zeros_like(x[..., :half])
    imaginary[..., 1:] = -x[..., n - half + 1 :].flip(-1)
    spectrum = torch.complex(x[..., :half], imaginary) * _phases(n, x).conj()
    folded = torch.fft.irfft(spectrum, n)
    result = torch.empty_like(folded)
    result[..., 0::2] = folded[..., : (n + 1) // 2]
    result[..., 1::2] = folded[..., (n + 1) // 2 :].flip(-1)
    return result


def _phases(n: int, like: Tensor) -> Tensor:
    """`exp(−iπk/2n)` for `k = 0 … n/2`."""
    angles = torch.arange(n // 2 + 1, dtype=like.dtype, device=like.device) * (-math.pi / (2 * n))
    return torch.polar(torch.ones_like(angles), angles)
