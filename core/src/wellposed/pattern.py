"""Patterns: tensors made from a few parameters, such as sampling masks and blur kernels."""

from __future__ import annotations

from torch import Tensor

from .interface import Component


class Pattern(Component):
    """A recipe-sized description of a tensor: a k-space mask, a pixel mask, a convolution kernel.

    `pattern(shape)` gives the tensor for spatial `shape`; patterns with a size of their own (kernels)
    ignore it. The same parameters, seed included, always give the same tensor.
    """

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        raise NotImplementedError

    def total(self, shape: tuple[int, ...]) -> float | None:
        """The sum of the entries that the parameters promise: 1 of a blur kernel, the number of points of a mask.

        `None`, the default, where they promise none.
        """
        return None
