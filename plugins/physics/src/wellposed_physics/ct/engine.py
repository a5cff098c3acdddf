"""The interface of projection engines: the same pair of maps, computed in different ways."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

EngineName = Literal["auto", "sparse", "matrix-free", "astra"]


class Engine:
    """A projection and its exact transpose for one geometry, one precision and one device.

    Both maps take and return real tensors without channels. Differentiation is the operator's
    business. An engine never moves: whoever holds it builds another for another precision or device.
    """

    def project(self, images: Tensor) -> Tensor:
        """Line integrals `(n, views, bins)` of `images` `(n, rows, columns)`."""
        raise NotImplementedError

    def backproject(self, sinograms: Tensor) -> Tensor:
        """The transpose: images `(n, rows, columns)` of `sinograms` `(n, views, bins)`."""
        raise NotImplementedError

    @property
    def stored_bytes(self) -> int:
        """Memory held between calls."""
        raise NotImplementedError


def tensor_bytes(*tensors: Tensor) -> int:
    """Memory of some tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
