"""Compressed sensing of a whole image with a random matrix."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.operator import LinearOperator
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import check_fraction, generator, image_size
from .buffers import BufferedOperator, shifted_inverse, trailing
from .dense import gaussian_rows
from .hadamard import walsh_hadamard
from .matrix import Matrix


class CompressedSensing(LinearOperator):
    """`m` random linear measurements of a whole image, `y = Φ x`, with orthonormal rows, `Φ Φᵀ = I`.

    `ensemble` is one of two, drawn from `seed`. `gaussian`: a dense matrix whose rows span a uniformly random
    subspace; with `orthonormal: false` its entries are independent `N(0, 1/m)` instead. `hadamard`: `Φ = R H
    P`, `P` a random permutation of the pixels, `H` the orthonormal Walsh-Hadamard transform, `R` the mean
    (row 0) and `m − 1` other random rows; `O(n log n)` and no matrix to store, for images whose number of
    pixels is a power of 2. A gaussian matrix of a 64 × 64 image at 25 % holds 4 million numbers, that of 256
    × 256 a thousand million: take `hadamard` or `block-compressed-sensing` for images of that size.

    Shapes: `shape` is `[H, W]`; real `(B, 1, H, W)` to `(B, m)`. Give `ratio` (`m = round(ratio · H · W)`) or
    `measurements` (`m` itself). With orthonormal rows `A⁺ = A*` and all other closed forms follow.

    Raises `InputError` unless exactly one of the two is given, `ShapeError` where `hadamard` cannot be had.
    """

    source = "Candes and Tao 2006 (gaussian); Do et al. 2012, structurally random matrices, eq. 1 (hadamard)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"shape": [8, 8], "ratio": 0.25},
            {"shape": [6, 7], "measurements": 20, "orthonormal": False},
            {"shape": [16, 8], "ratio": 0.3, "ensemble": "hadamard"},
        )

    def __init__(
        self,
        shape: tuple[int, int],
        ratio: float | None = None,
        measurements: int | None = None,
        ensemble: Literal["gaussian", "hadamard"] = "gaussian",
        orthonormal: bool = True,
        seed: int = 0,
    ) -> None:
        size = image_size(shape, self)
        count = _count(math.prod(size), ratio, measurements)
        super().__init__(Space((1, *size)), Space((count,)))
        self.orthonormal = orthonormal
        if ensemble == "hadamard":
            if not orthonormal:
                raise InputError("the rows of the hadamard ensemble are orthonormal; leave orthonormal out")
            self.matrix: LinearOperator = SubsampledHadamard(math.prod(size), count, seed)
        else:
            rows = gaussian_rows(count, math.prod(size), generator(seed), orthonormal=orthonormal)
            self.matrix = Matrix.from_tensor(rows)

    def _forward(self, x: Tensor) -> Tensor:
        return self.matrix._forward(x.flatten(1))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.matrix._adjoint(y).unflatten(1, self.domain.shape)

    def structure(self) -> Structure:
        if not self.orthonormal:
            return self.matrix.structure()
        square = self.range.size == self.domain.size
        return Structure(isometry=1.0 if square else None, coisometry=1.0)

    def _norm(self) -> float:
        return 1.0 if self.orthonormal else self.matrix.norm()

    def _pinv(self, y: Tensor) -> Tensor:
        if self.orthonormal:
            return self.adjoint(y)
        return self.matrix._pinv(y).unflatten(1, self.domain.shape)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        if not self.orthonormal:
            return self.matrix._solve_normal(rhs.flatten(1), shift).unflatten(1, self.domain.shape)
        # A*A is an orthogonal projection P: 1/(1 + s) on its range, 1/s across it.
        s, along = trailing(shift, rhs.ndim), self._gram(rhs)
        across = shifted_inverse(torch.zeros_like(s), s)
        return along * shifted_inverse(torch.ones_like(s), s) + (rhs - along) * across


class SubsampledHadamard(BufferedOperator):
    """`Φ = R H P` of `CompressedSensing`, `(B, n) → (B, m)`."""

    source = "Do et al. 2012, Fast and efficient compressive sensing using structurally random matrices, eq. 1"

    def __init__(self, length: int, rows: int, seed: int) -> None:
        if length & (length - 1):
            raise ShapeError(
                f"the hadamard ensemble needs a power of 2 as number of pixels; {length} was given. Use an image "
                f"of 64x64, 128x128, 256x256, … or the gaussian ensemble"
            )
        super().__init__(Space((length,)), Space((rows,)))
        numbers = generator(seed)
        permutation = torch.randperm(length, generator=numbers)
        others = torch.randperm(length - 1, generator=numbers)[: rows - 1] + 1
        self.register_exact("permutation", permutation)
        self.register_exact("inverse", permutation.argsort())
        self.register_exact("kept", torch.cat([others.new_zeros(1), others]).sort().values)

    def _forward(self, x: Tensor) -> Tensor:
        return walsh_hadamard(x[:, self.exact("permutation")])[:, self.exact("kept")]

    def _adjoint(self, y: Tensor) -> Tensor:
        whole = y.new_zeros((len(y), *self.domain.shape)).index_copy(1, self.exact("kept"), y)
        return walsh_hadamard(whole)[:, self.exact("inverse")]


def _count(pixels: int, ratio: float | None, measurements: int | None) -> int:
    if (ratio is None) == (measurements is None):
        raise InputError("CompressedSensing takes either ratio or measurements")
    if ratio is not None:
        check_fraction(ratio, "ratio", "CompressedSensing")
        return max(round(ratio * pixels), 1)
    assert measurements is not None
    if not 1 <= measurements <= pixels:
        raise InputError(
            f"CompressedSensing of {pixels} pixels takes 1 to {pixels} measurements; {measurements} was given"
        )
    return measurements
