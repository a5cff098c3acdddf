"""Compressed sensing of an image block by block."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.pattern import Pattern
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import check_fraction, generator, image_size, resolve
from .buffers import BufferedOperator
from .dense import SingularValues, gaussian_rows

#: Row numbers of the published 33 × 33 matrices that rounding does not give.
_PUBLISHED = {(1089, 0.01): 10, (1089, 0.04): 43}


class BlockCompressedSensing(BufferedOperator):
    """The same random measurements of every block of an image: `y_b = Φ vec(x_b)`.

    The image is padded with zeros at the bottom and on the right to multiples of `block`, where it is not one
    already, and cut into `block × block` blocks, numbered row by row; `vec` is row-major. This is the
    protocol of the Set11 tables. `Φ` has `round(ratio · block²)` rows (for blocks of 33 and 1 % and 4 % the
    published 10 and 43), orthonormal, spanning a random subspace drawn from `seed`, unless `matrix` gives it.

    Shapes: `shape` is `[H, W]`; real `(B, 1, H, W)` to `(B, blocks, rows)`. Since padded pixels are known, `A
    A*` is the identity on whole blocks alone; norm, pseudo-inverse and normal equations are exact for the
    padded ones too, from the singular values of the columns of `Φ` that each of the at most four kinds of
    block sees.

    Raises `ShapeError` for a matrix without `block²` columns, `InputError` unless either ratio or matrix is
    given.
    """

    source = "Kulkarni et al. 2016, ReconNet, section 4; Zhang and Ghanem 2018, ISTA-Net, section 4 (protocol)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"shape": [12, 16], "block": 5, "ratio": 0.4},
            {"shape": [8, 8], "block": 4, "ratio": 0.25, "seed": 3},
        )

    def __init__(
        self,
        shape: tuple[int, int],
        block: int = 33,
        ratio: float | None = None,
        seed: int = 0,
        matrix: Pattern | Tensor | None = None,
    ) -> None:
        size = image_size(shape, self)
        if block < 1:
            raise InputError(f"BlockCompressedSensing needs block ≥ 1; {block} was given")
        values = _matrix(block, ratio, seed, matrix)
        self.block = block
        self.grid = (math.ceil(size[0] / block), math.ceil(size[1] / block))
        super().__init__(Space((1, *size)), Space((math.prod(self.grid), len(values))))
        self.register_exact("matrix", values)
        self._svd: dict[tuple[bool, bool], SingularValues] = {}

    def for_shape(self, shape: tuple[int, ...]) -> BlockCompressedSensing:
        if len(shape) != 3 or shape[0] != 1:
            raise ShapeError(f"BlockCompressedSensing takes images (1, height, width); {tuple(shape)} was given")
        if tuple(shape) == self.domain.shape:
            return self
        known = self._given.get("matrix", self.exact("matrix"))
        other = BlockCompressedSensing((shape[1], shape[2]), self.block, matrix=known)
        own = self.exact("matrix")
        return other.to(device=own.device, dtype=own.dtype)

    def _forward(self, x: Tensor) -> Tensor:
        return self._cut(x).flatten(1, 2) @ self.exact("matrix").T

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._joined((y @ self.exact("matrix")).unflatten(1, self.grid))

    def structure(self) -> Structure:
        of_kinds = [self._singular_values(*kind) for kind, _ in self._kinds()]
        orthonormal = 1.0 if all(s.rows_are_orthonormal for s in of_kinds) else None
        square = orthonormal if self.range.size == self.domain.size else None
        return Structure(isometry=square, coisometry=orthonormal, norm=max(s.norm for s in of_kinds))

    def _pinv(self, y: Tensor) -> Tensor:
        y = y.unflatten(1, self.grid)
        blocks = y.new_zeros((*y.shape[:3], self.block**2))
        for kind, (rows, columns) in self._kinds():
            blocks[:, rows, columns] = self._singular_values(*kind).pinv(y[:, rows, columns])
        return self._joined(blocks)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        shift = shift.reshape(-1, 1, 1, 1) if shift.ndim == 1 else shift
        blocks = self._cut(rhs)
        solution = torch.empty_like(blocks)
        for kind, (rows, columns) in self._kinds():
            svd = self._singular_values(*kind)
            solution[:, rows, columns] = svd.solve_normal(blocks[:, rows, columns], shift)
        return self._joined(solution)

    def _cut(self, x: Tensor) -> Tensor:
        """Blocks `(B, rows, columns, block²)` of the zero-padded image."""
        height, width = x.shape[-2:]
        below, right = self.grid[0] * self.block - height, self.grid[1] * self.block - width
        padded = torch.nn.functional.pad(x[:, 0], (0, right, 0, below))
        tiles = padded.view(len(x), self.grid[0], self.block, self.grid[1], self.block)
        return tiles.transpose(2, 3).reshape(len(x), *self.grid, self.block**2)

    def _joined(self, blocks: Tensor) -> Tensor:
        """The image `(B, 1, H, W)` of blocks, without the padding: the adjoint of `_cut`."""
        height, width = self.domain.shape[-2:]
        tiles = blocks.unflatten(-1, (self.block, self.block)).transpose(2, 3)
        padded = tiles.reshape(len(blocks), 1, self.grid[0] * self.block, self.grid[1] * self.block)
        return padded[..., :height, :width].contiguous()

    def _kinds(self) -> list[tuple[tuple[bool, bool], tuple[slice, slice]]]:
        """The kinds of block, `(cut below, cut on the right)`, and where in the grid they are."""
        per_axis = []
        for count, length in zip(self.grid, self.domain.shape[-2:], strict=True):
            if length % self.block == 0:
                per_axis.append([(False, slice(0, count))])
            else:
                split = [(False, slice(0, count - 1)), (True, slice(count - 1, count))]
                per_axis.append(split if count > 1 else split[1:])
        return [((below, right), (r, c)) for below, r in per_axis[0] for right, c in per_axis[1]]

    def _singular_values(self, below: bool, right: bool) -> SingularValues:
        """Of the matrix with the columns of padded pixels set to zero; computed once."""
        matrix = self.exact("matrix")
        known = self._svd.get((below, right))
        if known is None or known.v.dtype != matrix.dtype or known.v.device != matrix.device:
            height, width = self.domain.shape[-2:]
            seen = torch.zeros((self.block, self.block), dtype=torch.bool, device=matrix.device)
            seen[: height % self.block if below else None, : width % self.block if right else None] = True
            known = SingularValues.of(matrix * seen.flatten())
            self._svd[below, right] = known
        return known


def _matrix(block: int, ratio: float | None, seed: int, matrix: Pattern | Tensor | None) -> Tensor:
    pixels = block * block
    if (ratio is None) == (matrix is None):
        raise InputError("BlockCompressedSensing takes either ratio (and seed) or matrix")
    if ratio is not None:
        check_fraction(ratio, "ratio", "BlockCompressedSensing")
        rows = _PUBLISHED.get((pixels, ratio), max(math.floor(ratio * pixels + 0.5), 1))
        return gaussian_rows(rows, pixels, generator(seed), orthonormal=True)
    assert matrix is not None
    values = resolve(matrix, (pixels,))
    if values.ndim != 2 or values.shape[1] != pixels or len(values) == 0:
        raise ShapeError(
            f"the matrix for blocks of {block} × {block} pixels has {pixels} columns; {tuple(values.shape)} was given"
        )
    if values.is_complex() or not bool(torch.isfinite(values).all()):
        raise InputError("the matrix of BlockCompressedSensing must be real and finite")
    return values.to(torch.float64) if not values.is_floating_point() else values
