"""Single-coil Cartesian MRI: a masked, centred, orthonormal Fourier transform."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.pattern import Pattern
from wellposed.space import Space
from wellposed.structure import Structure

from ..operators.arguments import binary_mask, image_size
from ..operators.buffers import BufferedOperator, shifted_inverse, trailing
from .centring import centring_phase, corner


class Fourier(BufferedOperator):
    """Undersampled Fourier transform `y = M C x`: single-coil Cartesian MRI.

    `C x[k] = (HW)^(-1/2) Σ_n x[n] exp(−2πi <k−c, n−c> / N)`: orthonormal, and centred on both sides, so
    that DC is at `(H//2, W//2)` of k-space and the phase origin at that pixel of the image, as scanners'
    files have it. `M` keeps what `mask` observes and puts zeros elsewhere: `A A* = M`, so that the
    pseudo-inverse is zero filling.

    Shapes: complex images `(B, channels, H, W)` to complex k-space of the same shape. `mask`: zeros and
    ones with DC in the centre, `(H, W)` or one per sample `(B, 1 or channels, H, W)`; without one all is observed.

    Raises `ShapeError` or `InputError` for a mask that does not fit.
    """

    source = "Lustig, Donoho, Pauly 2007, Sparse MRI, eq. 1 (undersampled Fourier operator)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        lines = {"use": "cartesian-mask", "acceleration": 2.0, "center_fraction": 0.25}
        return (
            {"shape": [16, 16], "mask": lines},
            {"shape": [15, 12], "mask": {"use": "random-mask", "ratio": 0.4}, "channels": 2},
            {"shape": [9, 14]},
        )

    def __init__(self, shape: tuple[int, int], mask: Pattern | Tensor | None = None, channels: int = 1) -> None:
        size = image_size(shape, self)
        space = Space((channels, *size), torch.complex64)
        super().__init__(space, space)
        whole = torch.ones(size, dtype=torch.bool)
        observed, per_sample = (whole, False) if mask is None else binary_mask(mask, size, self, channels)
        self.full = bool(observed.all())
        phase = centring_phase(size).to(observed.device)
        self.register_exact("phase", phase)
        self.register_exact("weights", observed * phase, per_sample=per_sample)
        self.register_exact("corner_mask", corner(observed), per_sample=per_sample)

    @property
    def mask(self) -> Tensor:
        """What is observed, bool, DC in the centre."""
        return torch.fft.fftshift(self.exact("corner_mask"), dim=(-2, -1))

    def zero_filled(self, y: Tensor) -> Tensor:
        """The image whose unobserved k-space is zero, `C* M y`; it is the pseudo-inverse."""
        return self.adjoint(y)

    def _forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x * self.exact("phase"), norm="ortho").mul_(self.exact("weights"))

    def _adjoint(self, y: Tensor) -> Tensor:
        weights, phase = self.exact("weights").conj(), self.exact("phase").conj()
        return torch.fft.ifft2(y * weights.resolve_conj(), norm="ortho").mul_(phase.resolve_conj())

    def _gram(self, x: Tensor) -> Tensor:
        return self._in_fourier(x, self.exact("corner_mask"))

    def structure(self) -> Structure:
        whole = 1.0 if self.full else None
        return Structure(isometry=whole, coisometry=whole, projection=1.0)

    def _pinv(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        return self._in_fourier(rhs, shifted_inverse(self.exact("corner_mask"), trailing(shift, 4)))

    @staticmethod
    def _in_fourier(x: Tensor, diagonal: Tensor) -> Tensor:
        # The centring phases cancel in A*A, which is why the mask in corner order does without them.
        return torch.fft.ifft2(torch.fft.fft2(x, norm="ortho").mul_(diagonal), norm="ortho")
