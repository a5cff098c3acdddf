"""The best linear reconstruction of blocks, fitted to training images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from wellposed.dataset import Dataset
from wellposed.errors import CompositionError, InputError
from wellposed.operator import Operator
from wellposed.precision import exact
from wellposed.problem import Problem
from wellposed.solver import DirectSolver

from ..tiles import cut, grid_of, join


class BlockwiseLinear(DirectSolver):
    """`x_b = Q y_b` for each block of an image, with `Q = X Yᵀ (Y Yᵀ)⁻¹` from the blocks of training images.

    `Q` is the least-squares fit of images to measurements, noise included: the linear estimator of least mean
    square error. A training of any solver that starts from this one fits it first (`prepare`); the fit is part of
    the weights, and one that is there is kept.

    Shapes: measurements `(B, blocks, rows)` to images `(B, 1, H, W)`, blocks numbered row by row as those of
    `block-compressed-sensing`.

    Args:
        block: side of the square blocks.
        rows: measurements of each block.

    Raises `CompositionError` for operators of another form, `InputError` before it was fitted.
    """

    source = "Zhang & Ghanem 2018, ISTA-Net, CVPR, equation 10 (Q_init)"

    def __init__(self, block: int = 33, rows: int = 272) -> None:
        super().__init__()
        if block < 1 or rows < 1:
            raise InputError(f"blockwise-linear needs block ≥ 1 and rows ≥ 1; {block} and {rows} were given")
        self.block = block
        self.register_buffer("matrix", torch.zeros(block**2, rows))

    matrix: Tensor

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"block": 4, "rows": 4},)

    def check(self, problem: Problem) -> None:
        self._check(problem.operator)

    @exact
    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        self._check(operator)
        operator.check_range(y)
        if not self.fitted:
            raise InputError(
                "blockwise-linear is not fitted yet: train a solver that starts from it, call prepare(data), or load "
                "weights"
            )
        _, height, width = operator.domain.shape
        blocks = (y @ self.matrix.T).view(len(y), *grid_of(height, width, self.block), 1, self.block, self.block)
        return join(blocks, (height, width))

    @property
    def fitted(self) -> bool:
        return bool(self.matrix.any())

    def prepare(self, data: Dataset) -> None:
        """Fit `Q` to all samples of `data`; does nothing where it is fitted already."""
        if self.fitted:
            return
        pixels, rows = self.matrix.shape
        square = torch.zeros(rows, rows, dtype=torch.float64)
        mixed = torch.zeros(pixels, rows, dtype=torch.float64)
        for x, y in self._pairs(data):
            square += y.T @ y
            mixed += x.T @ y
        inverse = torch.linalg.pinv(square, rtol=1e-12, hermitian=True)
        self.matrix.copy_(mixed @ inverse)

    def _pairs(self, data: Dataset) -> Iterator[tuple[Tensor, Tensor]]:
        """Blocks of pixels and their measurements, sample by sample."""
        for index in range(len(data)):
            sample = data[index]
            if sample.truth is None or sample.measurement is None or sample.operator is None:
                raise InputError(
                    f"sample {sample.name} is no pair of image and measurement; blockwise-linear is fitted to pairs"
                )
            self._check(sample.operator)
            blocks = cut(sample.truth[None].double().cpu(), self.block).reshape(-1, self.block**2)
            yield blocks, sample.measurement.double().cpu()

    def _check(self, operator: Operator) -> None:
        domain, range = operator.domain.shape, operator.range.shape
        fits = len(domain) == 3 and domain[0] == 1 and not operator.domain.is_complex
        if fits:
            rows, columns = grid_of(domain[1], domain[2], self.block)
            fits = range == (rows * columns, self.matrix.shape[1])
        if not fits:
            raise CompositionError(
                f"this blockwise-linear is made for {self.matrix.shape[1]} measurements of each {self.block} × "
                f"{self.block} block of images (1, rows, columns); {type(operator).__name__} measures {domain} as "
                f"{range}. block-compressed-sensing fits, with the same block"
            )
