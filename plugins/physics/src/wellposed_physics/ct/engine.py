"""The interface of projection engines: the same pair of maps, computed in different ways."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

EngineName = Literal["auto", "sparse", "matrix-free", "astra"]


class Engine(nn.Module):
    """A projection and its exact transpose for one geometry, one precision and one device.

    Both maps take and return real tensors without channels; neither is recorded for differentiation,
    which is the operator's business.
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
        return sum(buffer.numel() * buffer.element_size() for buffer in self.buffers())
