"""Missing pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.pattern import Pattern
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import binary_mask, check_fraction, generator, image_size
from .buffers import BufferedOperator, shifted_inverse, trailing


class Inpainting(BufferedOperator):
    """Observed pixels kept, the others 0: `y = M x`.

    The measurement is a whole image with zeros at unobserved pixels, so that it can be looked at and `M` is
    an orthogonal projection: `A = A* = A*A = A⁺`.

    Shapes: `shape` is `[H, W]`; real `(B, channels, H, W)` both. `mask`: zeros and ones, `(H, W)` or one per
    sample `(B, 1 or channels, H, W)`. Raises `ShapeError` or `InputError` for a mask that does not fit.
    """

    source = "Bertalmio et al. 2000, Image inpainting (missing-data projection)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"shape": [16, 16], "mask": {"use": "pixel-mask", "ratio": 0.5}, "channels": 2},)

    def __init__(self, shape: tuple[int, int], mask: Pattern | Tensor, channels: int = 1) -> None:
        size = image_size(shape, self)
        space = Space((channels, *size))
        super().__init__(space, space)
        observed, per_sample = binary_mask(mask, size, self, channels)
        self.full = bool(observed.all())
        self.register_exact("mask", observed, per_sample=per_sample)

    def _forward(self, x: Tensor) -> Tensor:
        return x * self.exact("mask")

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * self.exact("mask")

    def _gram(self, x: Tensor) -> Tensor:
        return x * self.exact("mask")

    def structure(self) -> Structure:
        whole = 1.0 if self.full else None
        return Structure(isometry=whole, coisometry=whole, projection=1.0, diagonal=self.exact("mask").double())

    def _pinv(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        return rhs * shifted_inverse(self.exact("mask"), trailing(shift, rhs.ndim))


class PixelMask(Pattern):
    """Observed pixels at random: `round(ratio · H · W)` of them, every set of that size equally likely.

    Shape: bool `(H, W)`, drawn from `seed`. Raises `InputError` for a ratio outside `(0, 1]`.
    """

    source = "uniform sampling without replacement"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"ratio": 0.5},)

    def __init__(self, ratio: float, seed: int = 0) -> None:
        check_fraction(ratio, "ratio", self)
        self.ratio, self.seed = ratio, seed

    def total(self, shape: tuple[int, ...]) -> float | None:
        return float(max(round(self.ratio * math.prod(shape)), 1))

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        count = max(round(self.ratio * math.prod(shape)), 1)
        mask = torch.zeros(math.prod(shape), dtype=torch.bool)
        mask[torch.randperm(len(mask), generator=generator(self.seed))[:count]] = True
        return mask.view(shape)
