"""The centred Fourier transform without shifts: its two halves of phase, to be folded into masks and maps."""

from __future__ import annotations

import cmath
import math

import torch
from torch import Tensor


def centring_phase(shape: tuple[int, int]) -> Tensor:
    """`p` with `C = diag(p) F diag(p)` for the centred orthonormal transform `C`; complex128 `(H, W)`.

    `C x[k] = N^(-1/2) Σ_n x[n] exp(−2πi <k−c, n−c> / N)`, centre `c = ⌊N/2⌋` on both sides, and `F` the
    orthonormal FFT with its origin in the corner. `|p| = 1`; `p = ±1` where both sizes are multiples of 4.
    """
    height, width = (_phase(n) for n in shape)
    return height[:, None] * width


def corner(mask: Tensor) -> Tensor:
    """A mask with its centre entry moved to index (0, 0)."""
    return torch.fft.ifftshift(mask, dim=(-2, -1))


def _phase(n: int) -> Tensor:
    centre = n // 2
    # Integer arithmetic modulo n keeps the phase exact for large sizes; the constant exp(−2πi c²/n) is
    # shared between the two sides.
    turns = torch.arange(n).mul(centre).remainder(n).to(torch.float64) / n
    constant = cmath.exp(-1j * math.pi * (centre * centre % (2 * n)) / n)
    phase = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
    phase = torch.where((2 * turns) % 1 == 0, (1 - 4 * turns).to(torch.complex128), phase)
    return phase * constant
