"""Orthonormal wavelet transforms with periodic boundary, batched, over any number of axes."""

from __future__ import annotations

import itertools

import pywt
import torch
from torch import Tensor

from wellposed import InputError, ShapeError
from wellposed.linear_algebra import Map, linear_map
from wellposed.regularizer import Analysis

from .differences import check_image
from .periodic_filters import FilterPair, analysis_pair

#: Largest deviation from orthonormality of a filter that is taken as orthonormal.
_ORTHONORMAL = 1e-9


class Wavelet(Analysis):
    """The orthonormal periodised wavelet transform `W`, `W*W = WW* = I`, of images `(B, C, *spatial)`.

    The coefficients form a tensor of the image's shape in Mallat's layout: the approximation in the
    first corner, `n/2^levels` long on each axis, and around it the details from coarse to fine. They are
    those of PyWavelets' mode "periodization", subband by subband. `adjoint` is the inverse. Complex
    images are transformed in their real and imaginary parts.

    Raises `InputError` for an unknown or not orthonormal wavelet and `ShapeError` for sizes that
    `2^levels` does not divide. Source: Mallat 1989; Daubechies 1992, Ten Lectures on Wavelets, chapter 5.
    """

    def __init__(self, wavelet: str = "db4", levels: int = 3) -> None:
        super().__init__()
        if levels < 1:
            raise InputError(f"a wavelet transform needs levels ≥ 1; got {levels}")
        self.wavelet, self.levels = wavelet, int(levels)
        self._analysis = analysis_pair(_scaling_filter(wavelet))
        self._synthesis = self._analysis.transposed()

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
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        rest = x
        for level in range(self.levels):
            part = _corner(out, level)
            rest = self._along_axes(self._analysis, rest)
            phases = self._analysis.room_on_phases(x, (*rest.shape[:-1], rest.shape[-1] // 2))
            for phase, room in enumerate(phases):
                room.inside.copy_(rest[..., phase::2])
            halves = self._analysis.on_phases(phases)
            for bands in _bands(x.ndim - 3):
                for last, half in enumerate(halves):
                    _half(part, (*bands, last)).copy_(_every_second(half, bands))
            rest = _every_second(halves[0], (0,) * (x.ndim - 3))
        return out

    def _synthesise(self, coefficients: Tensor) -> Tensor:
        if coefficients.is_complex():
            return _on_real_pairs(coefficients, self._synthesise)
        rest = self.approximation(coefficients)
        for level in reversed(range(self.levels)):
            part = _corner(coefficients, level)
            phases = self._synthesis.room_on_phases(part, (*part.shape[:-1], part.shape[-1] // 2))
            for bands in _bands(part.ndim - 3):
                for last, room in enumerate(phases):
                    choice = (*bands, last)
                    _every_second(room.inside, bands).copy_(_half(part, choice) if any(choice) else rest)
            rest = part.new_empty(part.shape)
            for phase, values in enumerate(self._synthesis.on_phases(phases)):
                rest[..., phase::2] = values
            rest = self._along_axes(self._synthesis, rest)
        return rest

    def _along_axes(self, pair: FilterPair, x: Tensor) -> Tensor:
        """One level along every spatial axis but the last, bands interleaved."""
        for axis in range(2, x.ndim - 1):
            room = pair.room_on_axis(x, x.shape, axis)
            room.inside.copy_(x)
            x = pair.on_axis(room)
        return x


def _scaling_filter(name: str) -> tuple[float, ...]:
    """PyWavelets' decomposition low-pass filter, checked to be orthonormal to its even shifts."""
    advice = "orthonormal ones are haar, db1 to db38, sym2 to sym20 and coif1 to coif17"
    if name not in pywt.wavelist(kind="discrete"):  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError(f"PyWavelets knows no discrete wavelet {name!r}; {advice}")
    taps = tuple(pywt.Wavelet(name).dec_lo)  # pyright: ignore[reportAttributeAccessIssue]
    for shift in range(0, len(taps), 2):
        product = sum(a * b for a, b in zip(taps, taps[shift:], strict=False))
        if abs(product - (shift == 0)) > _ORTHONORMAL:
            raise InputError(f"the wavelet {name} is not orthonormal: its adjoint is not its inverse; {advice}")
    return taps


# Mallat's layout --------------------------------------------------------------------------------------


def _corner(x: Tensor, level: int) -> Tensor:
    """The part of a coefficient tensor that holds everything coarser than `level`."""
    for axis in range(2, x.ndim):
        x = x.narrow(axis, 0, x.shape[axis] >> level)
    return x


def _bands(axes: int) -> list[tuple[int, ...]]:
    """All choices of low (0) or high (1) along each of some axes."""
    return list(itertools.product((0, 1), repeat=axes))


def _every_second(x: Tensor, bands: tuple[int, ...]) -> Tensor:
    """Of the spatial axes but the last."""
    return x[(slice(None), slice(None), *(slice(band, None, 2) for band in bands))]


def _half(x: Tensor, bands: tuple[int, ...]) -> Tensor:
    for axis, band in enumerate(bands, start=2):
        half = x.shape[axis] // 2
        x = x.narrow(axis, band * half, half)
    return x


def _on_real_pairs(x: Tensor, transform: Map) -> Tensor:
    """A real transform of real and imaginary part, as twice as many channels."""
    pairs = torch.view_as_real(x.resolve_conj()).movedim(-1, 1).reshape(len(x), -1, *x.shape[2:])
    result = transform(pairs).reshape(len(x), 2, *x.shape[1:])
    return torch.complex(result[:, 0], result[:, 1])
