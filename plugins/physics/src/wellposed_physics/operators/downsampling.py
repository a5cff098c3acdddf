"""Low resolution: anti-alias filter and decimation."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.pattern import Pattern
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import image_size
from .buffers import BufferedOperator, shifted_inverse, trailing
from .transfer import filtered, resolve_kernel, squared, transfer_function


class Downsampling(BufferedOperator):
    """Every `factor`-th pixel of the filtered image: `y = S (k ∗ x)`, circular boundary.

    `shape` is that of the fine image. Without a kernel the filter is the mean over `factor × factor` pixels,
    and each coarse pixel is the mean of the block that it covers. `S` keeps pixel `factor·i + (factor−1)//2`,
    the middle of block `i` for odd factors and half a pixel before it for even ones.

    `A A*` is a circular convolution on the coarse grid, with the mean of the `factor²` aliases of `|k̂|²` as
    transfer function, so that norm, pseudo-inverse and normal equations are closed forms.

    Shapes: real `(B, channels, H, W)` to `(B, channels, H/factor, W/factor)`. `rcond`: the pseudo-inverse
    takes coarse transfer values below `rcond · max` for zero.

    Raises `ShapeError` where the factor does not divide the sizes or the kernel exceeds the image.
    """

    source = "Zhao et al. 2016, Fast single image super-resolution, eqs. 7-13"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        gaussian = {"use": "gaussian-kernel", "sigma": 1.0, "size": 7}
        return (
            {"shape": [16, 12], "factor": 2},
            {"shape": [15, 18], "factor": 3, "kernel": gaussian, "channels": 2},
        )

    def __init__(
        self,
        shape: tuple[int, int],
        factor: int,
        kernel: Pattern | Tensor | None = None,
        channels: int = 1,
        rcond: float = 1e-5,
    ) -> None:
        size = image_size(shape, self)
        if factor < 1:
            raise InputError(f"Downsampling needs factor ≥ 1; {factor} was given")
        if size[0] % factor or size[1] % factor:
            raise ShapeError(f"Downsampling by {factor} needs sizes divisible by {factor}; {size} was given")
        coarse = (size[0] // factor, size[1] // factor)
        super().__init__(Space((channels, *size)), Space((channels, *coarse)))
        self.factor, self.rcond, self.is_mean = factor, rcond, kernel is None
        mean = torch.full((factor, factor), 1.0 / factor**2, dtype=torch.float64)
        values = resolve_kernel(mean if kernel is None else kernel, size, self).to(torch.float64).detach()
        transfer = transfer_function(values, size)
        self.register_exact("transfer", transfer)
        # A A* convolves with the kernel's autocorrelation, decimated.
        correlation = torch.fft.irfft2(squared(transfer), s=size)[::factor, ::factor]
        self.register_exact("coarse_transfer", torch.fft.rfft2(correlation).real.clamp_min(0))

    def _forward(self, x: Tensor) -> Tensor:
        first = (self.factor - 1) // 2
        return filtered(x, self.exact("transfer"))[..., first :: self.factor, first :: self.factor].contiguous()

    def _adjoint(self, y: Tensor) -> Tensor:
        first = (self.factor - 1) // 2
        fine = y.new_zeros((*y.shape[:2], *self.domain.shape[-2:]))
        fine[..., first :: self.factor, first :: self.factor] = y
        return filtered(fine, self.exact("transfer").conj())

    def structure(self) -> Structure:
        # The means of disjoint blocks are orthogonal to each other.
        blocks = 1 / self.factor**2 if self.is_mean else None
        return Structure(coisometry=blocks, norm=float(self.exact("coarse_transfer").max()) ** 0.5)

    def _pinv(self, y: Tensor) -> Tensor:
        power = self.exact("coarse_transfer")
        inverse = shifted_inverse(power, power.new_zeros(()), self._floor(power))
        return self.adjoint(filtered(y, inverse))

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        # With K = A A*, a coarse convolution: (A*A + sI)⁻¹ = (I − A* (K + sI)⁻¹ A) / s, and for s = 0 the
        # pseudo-inverse A* K⁻² A.
        power, s = self.exact("coarse_transfer"), trailing(shift, 4)
        reciprocal = shifted_inverse(torch.zeros_like(s), s)
        least = shifted_inverse(power, torch.zeros_like(s), self._floor(power)).square()
        coarse = torch.where(s > 0, -reciprocal * shifted_inverse(power, s), least)
        return rhs * reciprocal + self._adjoint(filtered(self._forward(rhs), coarse))

    def _floor(self, power: Tensor) -> Tensor:
        return self.rcond**2 * power.max()
