"""The identity: denoising as an inverse problem."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.operator import LinearOperator
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import sizes
from .buffers import shifted_inverse, trailing


class Identity(LinearOperator):
    """`y = x`, for denoising; real images `(B, channels, *shape)`, `shape` with any number of axes."""

    source = "denoising: A = I"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"shape": [16, 16]}, {"shape": [5, 4, 6], "channels": 2})

    def __init__(self, shape: tuple[int, ...], channels: int = 1) -> None:
        space = Space((channels, *sizes(shape, self)))
        super().__init__(space, space)

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.clone()

    def _gram(self, x: Tensor) -> Tensor:
        return x.clone()

    def structure(self) -> Structure:
        return Structure(isometry=1.0, coisometry=1.0, diagonal=torch.ones(()))

    def _pinv(self, y: Tensor) -> Tensor:
        return y.clone()

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        return rhs * shifted_inverse(shift.new_ones(()), trailing(shift, rhs.ndim))
