"""Real images in complex spaces."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.operator import LinearOperator
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import sizes
from .buffers import shifted_inverse, trailing


class Complexify(LinearOperator):
    """`y = x + 0i`, with adjoint `Re y`: puts a real image before an operator on complex ones.

    `fourier @ complexify` is the MRI model of a real image. The adjoint is one for the real inner product
    `Re Σ conj(u) v` of this package. Shapes: real `(B, channels, *shape)` to complex of the same shape.
    """

    source = "embedding of R^n in C^n"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"shape": [16, 16]}, {"shape": [5, 7], "channels": 2})

    def __init__(self, shape: tuple[int, ...], channels: int = 1) -> None:
        whole = (channels, *sizes(shape, self))
        super().__init__(Space(whole), Space(whole, torch.complex64))

    def _forward(self, x: Tensor) -> Tensor:
        return x.to(x.dtype.to_complex(), copy=True)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.real.clone() if y.is_complex() else y.clone()

    def _gram(self, x: Tensor) -> Tensor:
        return x.clone()

    def structure(self) -> Structure:
        return Structure(isometry=1.0, diagonal=torch.ones(()))

    def _pinv(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        return rhs * shifted_inverse(shift.new_ones(()), trailing(shift, rhs.ndim))
