"""Certified, differentiable upper bounds of the norm of a convolution, for images of every size."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

#: Frequencies per axis and coefficient of the symbol; 5 keep the bound within 5.2 % of the norm.
_OVERSAMPLING = 5


def squared_norm_bound(filters: Tensor) -> Tensor:
    """An upper bound of `‖W‖²` for the convolution `W` with `filters` `(F, C, k, k)`, a scalar tensor.

    `W*W` on the infinite grid has the symbol `S(ω) = ŵ(ω)* ŵ(ω)`, a `C × C` matrix of trigonometric
    polynomials of degree `d = k − 1`, and `‖W‖² = max_ω λ_max(S(ω))`. The maximum of such a polynomial is at
    most `1/cos(πd/N)` times that on `N > 2d` equispaced points, for each axis, so a grid certifies it:
    `‖W‖² ≤ max_grid λ_max(S) / (cos(πd₁/N₁) cos(πd₂/N₂))`. Convolutions of finite images, periodic on grids
    finer than the kernel, zero-padded or of valid pixels alone, have no larger norm.

    Sources: Ehlich and Zeller 1964, Math. Z. 86:41 (the grid); Sedghi, Gupta and Long 2019, arXiv:1805.10408
    (the symbol).
    """
    sizes = [_OVERSAMPLING * (2 * k - 1) for k in filters.shape[-2:]]
    slack = math.prod(math.cos(math.pi * (k - 1) / n) for k, n in zip(filters.shape[-2:], sizes, strict=True))
    symbol = torch.fft.rfft2(_padded(_autocorrelation(filters), sizes)).permute(2, 3, 0, 1)
    return _largest_eigenvalue(symbol) / slack


def _autocorrelation(filters: Tensor) -> Tensor:
    """`Σ_f w_fc ⋆ w_fc'`, `(C, C, 2k − 1, 2k − 1)`: the coefficients of the symbol."""
    channels_first = filters.transpose(0, 1)
    reach = (filters.shape[-2] - 1, filters.shape[-1] - 1)
    return functional.conv2d(channels_first, channels_first, padding=reach)


def _padded(correlation: Tensor, sizes: list[int]) -> Tensor:
    rows, columns = correlation.shape[-2:]
    return functional.pad(correlation, (0, sizes[1] - columns, 0, sizes[0] - rows))


def _largest_eigenvalue(symbol: Tensor) -> Tensor:
    """Over all frequencies. The corner of the correlation stands for zero shift up to a phase, so moduli are taken."""
    if symbol.shape[-1] == 1:
        return symbol.abs().max()
    return torch.linalg.matrix_norm(symbol, 2).max()
