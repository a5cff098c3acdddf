"""Blur: convolution with a kernel."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from wellposed.interface import KnownValue
from wellposed.pattern import Pattern
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import image_size
from .buffers import BufferedOperator, shifted_inverse, trailing
from .transfer import filtered, resolve_kernel, squared, transfer_function


class Convolution(BufferedOperator):
    """Convolution with a kernel, each channel alike: `(A x)[n] = Σ_m k[m] x[n + c − m]`, `c = (h//2, w//2)`.

    `boundary` tells what lies outside the image: `circular`, its periodic continuation; `reflect`, its
    mirror image about the edges of the border pixels (half-sample symmetric: … b a | a b c …); `valid`,
    nothing, so that only outputs that need no outside are measured. All three are computed by FFT and
    have exact adjoints; circular has closed forms for norm, Gram, pseudo-inverse and normal equations.

    Shapes: `shape` is `[H, W]`; real `(B, channels, H, W)` to the same, for `valid` to `(B, channels, H−h+1,
    W−w+1)`. A kernel given as `torch.nn.Parameter` is learned: gradients reach it through every method.
    `rcond`: the circular pseudo-inverse takes transfer values below `rcond · max` for zero.

    Raises `ShapeError` for a kernel larger than the image.
    """

    source = "Hansen, Nagy, O'Leary 2006, Deblurring Images, chapters 3-4"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        # A spike becomes the kernel, its rows and columns not exchanged.
        spike = [[[[0.0] * 5, [0.0] * 5, [0.0, 0.0, 1.0, 0.0, 0.0], [0.0] * 5, [0.0] * 5]]]
        kernel = {"use": "motion-kernel", "length": 3.0}
        line = [1 / 24, 7 / 24, 1 / 3, 7 / 24, 1 / 24]
        rows = [[0.0] * 5, [0.0] * 5, line, [0.0] * 5, [0.0] * 5]
        return (KnownValue((spike,), [[rows]], {"shape": [5, 5], "kernel": kernel}, tolerance=1e-3),)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        gaussian = {"use": "gaussian-kernel", "sigma": 0.7, "size": 5}
        motion = {"use": "motion-kernel", "length": 3.0, "angle": 30.0}
        return (
            {"shape": [16, 16], "kernel": gaussian},
            {"shape": [12, 15], "kernel": motion, "boundary": "reflect", "channels": 2},
            {"shape": [15, 12], "kernel": motion, "boundary": "valid"},
        )

    kernel: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        kernel: Pattern | Tensor,
        boundary: Literal["circular", "reflect", "valid"] = "circular",
        channels: int = 1,
        rcond: float = 1e-5,
    ) -> None:
        size = image_size(shape, self)
        values = resolve_kernel(kernel, size, self)
        measured = _valid_size(size, values) if boundary == "valid" else size
        super().__init__(Space((channels, *size)), Space((channels, *measured)))
        self.boundary, self.rcond = boundary, rcond
        height, width = values.shape
        # Output n needs the inputs n + c − h + 1 … n + c.
        self.margins = (height - 1 - height // 2, height // 2, width - 1 - width // 2, width // 2)
        extra = (height - 1, width - 1) if boundary == "reflect" else (0, 0)
        self._grid = (size[0] + extra[0], size[1] + extra[1])
        if isinstance(values, nn.Parameter):
            self.kernel = values
        else:
            self.register_exact("kernel", values)
            self.register_exact("fixed_transfer", transfer_function(values.to(torch.float64), self._grid))

    @property
    def transfer(self) -> Tensor:
        """The half-spectrum of the kernel on the grid of the convolution, complex."""
        if isinstance(self.kernel, nn.Parameter):
            return transfer_function(self.kernel, self._grid)
        return self.exact("fixed_transfer")

    def solve_normal(self, rhs: Tensor, shift: float | Tensor) -> Tensor:
        if not self.has_learned_parameters:
            return super().solve_normal(rhs, shift)
        # The implicit derivative knows nothing of the kernel: differentiate the solution itself.
        self.check_domain(rhs)
        return self._solve_normal(rhs, torch.as_tensor(shift, dtype=rhs.dtype, device=rhs.device))

    def _forward(self, x: Tensor) -> Tensor:
        if self.boundary == "circular":
            return filtered(x, self.transfer)
        whole = _mirrored(x, self.margins) if self.boundary == "reflect" else x
        return _cropped(filtered(whole, self.transfer), self.margins)

    def _adjoint(self, y: Tensor) -> Tensor:
        backward = self.transfer.conj()
        if self.boundary == "circular":
            return filtered(y, backward)
        whole = filtered(_padded(y, self.margins), backward)
        return _folded(whole, self.margins) if self.boundary == "reflect" else whole

    def _gram(self, x: Tensor) -> Tensor:
        return filtered(x, squared(self.transfer)) if self.boundary == "circular" else super()._gram(x)

    def structure(self) -> Structure:
        if self.boundary != "circular":
            return Structure()
        return Structure(norm=float(squared(self.transfer.detach()).max()) ** 0.5)

    def _pinv(self, y: Tensor) -> Tensor:
        if self.boundary != "circular":
            return super()._pinv(y)
        transfer = self.transfer
        power = squared(transfer)
        inverse = shifted_inverse(power, power.new_zeros(()), self.rcond**2 * power.max())
        return filtered(y, transfer.conj() * inverse)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        if self.boundary != "circular":
            return super()._solve_normal(rhs, shift)
        power = squared(self.transfer)
        floor = torch.where(trailing(shift, 4) > 0, 0.0, self.rcond**2 * power.max())
        return filtered(rhs, shifted_inverse(power, trailing(shift, 4), floor))


Margins = tuple[int, int, int, int]


def _valid_size(size: tuple[int, int], kernel: Tensor) -> tuple[int, int]:
    return size[0] - kernel.shape[0] + 1, size[1] - kernel.shape[1] + 1


def _cropped(x: Tensor, margins: Margins) -> Tensor:
    """Without `margins` (top, bottom, left, right)."""
    top, bottom, left, right = margins
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right].contiguous()


def _padded(y: Tensor, margins: Margins) -> Tensor:
    """Zeros around: the adjoint of `_cropped`."""
    top, bottom, left, right = margins
    return nn.functional.pad(y, (left, right, top, bottom))


def _mirrored(x: Tensor, margins: Margins) -> Tensor:
    """Half-sample symmetric continuation."""
    for axis, before, after in ((-2, *margins[:2]), (-1, *margins[2:])):
        first, last = x.narrow(axis, 0, before), x.narrow(axis, x.shape[axis] - after, after)
        x = torch.cat([first.flip(axis), x, last.flip(axis)], axis)
    return x


def _folded(y: Tensor, margins: Margins) -> Tensor:
    """The adjoint of `_mirrored`: the margins folded back onto the border pixels they copy."""
    for axis, before, after in ((-2, *margins[:2]), (-1, *margins[2:])):
        length = y.shape[axis] - before - after
        inside = y.narrow(axis, before, length)
        first = y.narrow(axis, 0, before).flip(axis)
        last = y.narrow(axis, before + length, after).flip(axis)
        y = inside + _placed(first, axis, 0, length) + _placed(last, axis, length - after, length)
    return y


def _placed(part: Tensor, axis: int, start: int, length: int) -> Tensor:
    """`part` in an axis of zeros of the given length."""
    after = length - start - part.shape[axis]
    widths = (0, 0, start, after) if axis == -2 else (start, after)
    return nn.functional.pad(part, widths)
