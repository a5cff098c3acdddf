"""Orthonormal wavelet transforms with periodic boundary, batched, over any number of axes."""

from __future__ import annotations

import itertools
import math

import pywt
import torch
from torch import Tensor
from wellposed import InputError, ShapeError
from wellposed.regularizer import Analysis

from .differences import check_image
from .linear_map import Map, linear_map

#: Largest deviation from orthonormality of a filter that is taken as orthonormal.
_ORTHONORMAL = 1e-9

#: Two rows of a matrix and the column, relative to the row, at which they start.
_Banded = tuple[Tensor, int]


class Wavelet(Analysis):
    """The orthonormal periodised wavelet transform `W`, `W*W = WW* = I`, of images `(B, C, *spatial)`.

    The coefficients form a tensor of the image's shape in Mallat's layout: the approximation in the
    first corner, `n/2^levels` long on each axis, and around it the details from coarse to fine. They are
    those of PyWavelets' mode "periodization", subband by subband. `adjoint` is the inverse.

    Raises `InputError` for an unknown or not orthonormal wavelet and `ShapeError` for sizes that
    `2^levels` does not divide. Source: Mallat 1989; Daubechies 1992, chapter 5; Mallat 2009, section 7.5.
    """

    def __init__(self, wavelet: str = "db4", levels: int = 3) -> None:
        super().__init__()
        if levels < 1:
            raise InputError(f"a wavelet transform needs levels ≥ 1; got {levels}")
        self.wavelet, self.levels = wavelet, int(levels)
        self._scaling = _scaling_filter(wavelet)
        self._matrices: dict[tuple[torch.dtype, torch.device], tuple[_Banded, _Banded]] = {}

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return linear_map(x, self._analyse, self._synthesise)

    def adjoint(self, p: Tensor) -> Tensor:
        self.check(p)
        return linear_map(p, self._synthesise, self._analyse)

    def norm(self, x: Tensor) -> float:
        return 1.0

    def solve_normal(self, rhs: Tensor, shift: float) -> Tensor:
        return rhs / (1 + shift)

    def approximation(self, coefficients: Tensor) -> Tensor:
        """The approximation coefficients, as a view."""
        return _corner(coefficients, self.levels)

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` unless all levels fit the image."""
        check_image(x, f"the wavelet transform {self.wavelet}")
        block = 2**self.levels
        if any(n % block for n in x.shape[2:]):
            fit = min((n & -n).bit_length() - 1 for n in x.shape[2:])
            advice = f"use levels ≤ {fit}, or crop or pad the image" if fit else "crop or pad the image"
            raise ShapeError(
                f"{self.levels} wavelet levels need sizes that are multiples of {block}; "
                f"got {tuple(x.shape[2:])}: {advice}"
            )

    def extra_repr(self) -> str:
        return f"wavelet={self.wavelet}, levels={self.levels}"

    def _analyse(self, x: Tensor) -> Tensor:
        if x.is_complex():
            return _on_real_pairs(x, self._analyse)
        analysis, _ = self._matrices_for(x)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        rest = x
        for level in range(self.levels):
            for axis in range(2, x.ndim):
                rest = _filter_pairs(rest, axis, *analysis)
            for bands in _bands(x):
                _half(_corner(out, level), bands).copy_(_every_second(rest, bands))
            rest = _every_second(rest, (0,) * (x.ndim - 2))
        return out

    def _synthesise(self, coefficients: Tensor) -> Tensor:
        if coefficients.is_complex():
            return _on_real_pairs(coefficients, self._synthesise)
        _, synthesis = self._matrices_for(coefficients)
        rest = self.approximation(coefficients)
        for level in reversed(range(self.levels)):
            part = _corner(coefficients, level)
            joined = torch.empty_like(part, memory_format=torch.contiguous_format)
            for bands in _bands(part):
                _every_second(joined, bands).copy_(_half(part, bands) if any(bands) else rest)
            for axis in range(2, part.ndim):
                joined = _filter_pairs(joined, axis, *synthesis)
            rest = joined
        return rest

    def _matrices_for(self, x: Tensor) -> tuple[_Banded, _Banded]:
        key = (x.dtype, x.device)
        if key not in self._matrices:
            analysis = _analysis(self._scaling)
            self._matrices[key] = tuple((m.to(x), start) for m, start in (analysis, _transposed(*analysis)))  # type: ignore[assignment]
        return self._matrices[key]


# One level along one axis: a block-circulant matrix with rows (2k, 2k + 1) ------------------------


def _filter_pairs(x: Tensor, axis: int, matrix: Tensor, start: int) -> Tensor:
    """`y[2k + r] = Σ_w matrix[r, w]·x[2k + start + w]` along `axis`, periodic.

    Rows of the image are combined by small matrix products on overlapping windows, so nothing is
    gathered; therefore `axis` must not be the last one, and is exchanged with the one before if it is.
    """
    if axis == x.ndim - 1:
        turned = x.unsqueeze(-2) if x.ndim == 3 else x
        turned = turned.transpose(-1, -2)
        filtered = _filter_pairs(turned, turned.ndim - 2, matrix, start).transpose(-1, -2)
        return filtered.squeeze(-2) if x.ndim == 3 else filtered
    width, n = matrix.shape[1], x.shape[axis]
    inner = math.prod(x.shape[axis + 1 :])
    rows = (torch.arange(n + width - 2, device=x.device) + start) % n
    padded = x.index_select(axis, rows).reshape(-1, inner)
    outer = len(padded) // (n + width - 2)
    # The windows run over all padded images at once; those that straddle two are dropped at the end.
    count = (len(padded) - width) // 2 + 1
    windows = padded.as_strided((count, width, inner), (2 * inner, inner, 1))
    filtered = padded.new_empty(outer * (n + width - 2) // 2, 2, inner)
    torch.bmm(matrix.expand(count, -1, -1), windows, out=filtered[:count])
    return filtered.reshape(outer, -1, 2 * inner)[:, : n // 2].reshape(x.shape)


def _analysis(scaling: tuple[float, ...]) -> _Banded:
    """Row 0 is the reversed scaling filter `h`, row 1 the wavelet filter `(−1)^{j+1} h[L − 1 − j]` reversed."""
    low = torch.tensor(scaling, dtype=torch.float64)
    sign = torch.ones_like(low)
    sign[0::2] = -1
    return torch.stack([low.flip(0), (sign * low.flip(0)).flip(0)]), 1 - len(low) // 2


def _transposed(matrix: Tensor, start: int) -> _Banded:
    """The transposed block-circulant matrix, again as two rows and their start."""
    width = matrix.shape[1]
    # Entry (2k + r, 2k + start + w) becomes entry (2m + s, 2m + first + v) with 2m + s its column.
    first = -2 * ((start + width - 1) // 2)
    last = -2 * (start // 2) + 1
    result = matrix.new_zeros(2, last - first + 1)
    for r in range(2):
        for w in range(width):
            m, s = divmod(start + w, 2)
            result[s, r - 2 * m - first] = matrix[r, w]
    return result, first


def _scaling_filter(name: str) -> tuple[float, ...]:
    """PyWavelets' decomposition low-pass filter, checked to be orthonormal to its even shifts."""
    if name not in pywt.wavelist(kind="discrete"):
        raise InputError(
            f"PyWavelets knows no discrete wavelet {name!r}; orthonormal ones are haar, db1 to db38, "
            f"sym2 to sym20 and coif1 to coif17"
        )
    taps = pywt.Wavelet(name).dec_lo
    for shift in range(0, len(taps), 2):
        product = sum(a * b for a, b in zip(taps, taps[shift:], strict=False))
        if abs(product - (shift == 0)) > _ORTHONORMAL:
            raise InputError(
                f"the wavelet {name} is not orthonormal, so shrinking its coefficients is no proximal map; "
                f"take one of haar, db1 to db38, sym2 to sym20, coif1 to coif17"
            )
    return tuple(taps)


# Layout -------------------------------------------------------------------------------------------


def _corner(x: Tensor, level: int) -> Tensor:
    """The part of a coefficient tensor that holds everything coarser than `level`."""
    for axis in range(2, x.ndim):
        x = x.narrow(axis, 0, x.shape[axis] >> level)
    return x


def _bands(x: Tensor) -> list[tuple[int, ...]]:
    """All choices of low (0) or high (1) along each spatial axis."""
    return list(itertools.product((0, 1), repeat=x.ndim - 2))


def _every_second(x: Tensor, bands: tuple[int, ...]) -> Tensor:
    return x[(..., *(slice(band, None, 2) for band in bands))]


def _half(x: Tensor, bands: tuple[int, ...]) -> Tensor:
    for axis, band in enumerate(bands, start=2):
        half = x.shape[axis] // 2
        x = x.narrow(axis, band * half, half)
    return x


def _on_real_pairs(x: Tensor, transform: Map) -> Tensor:
    """A real transform of real and imaginary part, as two more channels."""
    pairs = torch.view_as_real(x.resolve_conj()).movedim(-1, 1).reshape(len(x), -1, *x.shape[2:])
    result = transform(pairs).reshape(len(x), 2, *x.shape[1:])
    return torch.complex(result[:, 0], result[:, 1])
