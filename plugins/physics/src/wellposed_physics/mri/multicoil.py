"""Multi-coil Cartesian MRI: the SENSE model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wellposed.errors import CapabilityMissing, InputError, ShapeError
from wellposed.pattern import Pattern
from wellposed.space import Space
from wellposed.structure import Structure

from ..operators.arguments import binary_mask, image_size, resolve
from ..operators.buffers import BufferedOperator, shifted_inverse, trailing
from .centring import centring_phase
from .sensitivities import espirit


class MulticoilFourier(BufferedOperator):
    """Multi-coil MRI `y_j = M C (S_j x)`, `j = 1 … coils`, with sensitivity maps `S_j`.

    `C` is the centred orthonormal Fourier transform of `Fourier` (DC at `(H//2, W//2)`), `M` the mask.
    Maps of `birdcage` and of the estimators are normalised, `Σ|S_j|² = 1` on the object, so that `A*` is
    the coil combination of best signal-to-noise ratio.

    Shapes: complex images `(B, 1, H, W)` to complex k-space `(B, coils, H, W)`. `mask`: zeros and ones with
    DC in the centre, `(H, W)` or one per sample `(B, 1, H, W)`. `sensitivities`: `(coils, H, W)`, or one set
    per sample `(B, coils, H, W)`; a pattern gives the former. Without them, `coils` alone gives an operator
    that knows its measurements' shape and gets maps from them: `operator.calibrated(y)`.

    Raises `ShapeError` or `InputError` for a mask or maps that do not fit; `CapabilityMissing` where
    images are asked for before there are maps.
    """

    source = "Pruessmann et al. 1999, SENSE, eqs. 1-6; combination: Roemer et al. 1990, eq. 19"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        maps = {"use": "birdcage", "coils": 4}
        lines = {"use": "cartesian-mask", "acceleration": 2.0, "center_fraction": 0.25}
        return (
            {"shape": [16, 16], "mask": lines, "sensitivities": maps},
            {"shape": [9, 12], "sensitivities": maps},
        )

    def __init__(
        self,
        shape: tuple[int, int],
        mask: Pattern | Tensor | None = None,
        sensitivities: Pattern | Tensor | None = None,
        coils: int | None = None,
    ) -> None:
        size = image_size(shape, self)
        maps = None if sensitivities is None else _check_maps(resolve(sensitivities, size), size, coils)
        count = coils if maps is None else maps.shape[-3]
        if count is None:
            raise InputError("MulticoilFourier needs sensitivities, or coils: the number of maps to estimate")
        super().__init__(Space((1, *size), torch.complex64), Space((count, *size), torch.complex64))
        whole = torch.ones(size, dtype=torch.bool)
        observed, per_sample = (whole, False) if mask is None else binary_mask(mask, size, self)
        # Multiplied into the maps and the mask, the centring phases cost nothing.
        phase = centring_phase(size)
        self.register_exact("weights", observed * phase.to(observed.device), per_sample=per_sample)
        self.register_exact("mask", observed, per_sample=per_sample)
        self.full = bool(observed.all())
        if maps is not None:
            self.register_exact("modulated", maps * phase.to(maps.device), per_sample=maps.ndim == 4)

    @property
    def has_sensitivities(self) -> bool:
        return "modulated" in self._buffers

    @property
    def sensitivities(self) -> Tensor:
        """The maps `S`, `(coils, H, W)` or `(B, coils, H, W)`."""
        maps = self._maps()
        return maps * centring_phase(self._size).conj().to(maps)

    def calibrated(self, y: Tensor, estimate: Callable[[Tensor], Tensor] = espirit) -> MulticoilFourier:
        """With the maps that `estimate` finds in the fully sampled centre of `y`, per sample; itself if it has maps.

        `estimate` maps k-space `(B, coils, H, W)` to maps of that shape: `espirit`, `smooth_maps` or a
        `functools.partial` of them.
        """
        if self.has_sensitivities:
            return self
        self.range.check(y, self, "measurements")
        mask = self.exact("mask")
        return MulticoilFourier(self._size, mask, estimate(y)).to(y.device, y.dtype.to_real())

    def zero_filled(self, y: Tensor) -> Tensor:
        """Coil combination of the zero-filled images, `Σ conj(S_j) C* y_j / Σ|S_j|²`, 0 off the maps' support."""
        return self.adjoint(y) * shifted_inverse(self._power(), torch.zeros((), device=y.device))

    def root_sum_of_squares(self, y: Tensor) -> Tensor:
        """`(Σ|C* y_j|²)^½` of the zero-filled coil images, real `(B, 1, H, W)`; needs no maps."""
        self.check_range(y)
        images = torch.fft.ifft2(y * self.exact("weights").conj().resolve_conj(), norm="ortho")
        return torch.view_as_real(images).square().sum((1, -1)).sqrt()[:, None]

    def _forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x * self._maps(), norm="ortho").mul_(self.exact("weights"))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._combined(y * self.exact("weights").conj().resolve_conj())

    def _gram(self, x: Tensor) -> Tensor:
        if self.full:
            return x * self._power()
        return self._combined(torch.fft.fft2(x * self._maps(), norm="ortho").mul_(self.exact("mask")))

    def _combined(self, spectrum: Tensor) -> Tensor:
        """`Σ_j conj(S_j) F⁻¹ spectrum_j`; overwrites its argument."""
        # The conjugate of it is Σ_j S_j F conj(spectrum_j), which spares a conjugated copy of the maps.
        coil_images = torch.fft.fft2(spectrum.conj_physical_(), norm="ortho").mul_(self._maps())
        return coil_images.sum(1, keepdim=True).conj_physical()

    def structure(self) -> Structure:
        if not self.full:
            return Structure()
        power = self._power()
        return Structure(diagonal=power, norm=float(power.max()) ** 0.5)

    def _norm(self) -> float | None:
        # Σ|S|² bounds A*A for every mask, and is reached where all is observed. For per-sample data the
        # bound is used as it is: with the centre of k-space observed it is tight for smooth maps.
        return float(self._power().max()) ** 0.5 if self.full or self.samples is not None else None

    def _pinv(self, y: Tensor) -> Tensor:
        return self.zero_filled(y) if self.full else super()._pinv(y)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        if self.full:
            return rhs * shifted_inverse(self._power(), trailing(shift, 4))
        return super()._solve_normal(rhs, shift)

    def _power(self) -> Tensor:
        """`Σ|S_j|²`, `(…, 1, H, W)`."""
        return torch.view_as_real(self._maps()).square().sum((-4, -1)).unsqueeze(-3)

    def _maps(self) -> Tensor:
        if not self.has_sensitivities:
            raise CapabilityMissing(
                "this MulticoilFourier has no sensitivity maps yet; give sensitivities, or estimate them "
                "with operator.calibrated(y)"
            )
        return self.exact("modulated")

    @property
    def _size(self) -> tuple[int, int]:
        return self.domain.shape[-2], self.domain.shape[-1]


def _check_maps(maps: Tensor, size: tuple[int, int], coils: int | None) -> Tensor:
    if maps.ndim not in (3, 4) or tuple(maps.shape[-2:]) != size:
        raise ShapeError(
            f"sensitivities have shape (coils, {size[0]}, {size[1]}) or (batch, coils, {size[0]}, {size[1]}); "
            f"{tuple(maps.shape)} was given"
        )
    if coils is not None and maps.shape[-3] != coils:
        raise ShapeError(f"coils is {coils}, but the sensitivities hold {maps.shape[-3]} maps")
    if not bool(torch.isfinite(maps).all()):
        raise InputError("the sensitivities hold values that are not finite")
    return maps if maps.is_complex() else torch.complex(maps, torch.zeros_like(maps))
