"""What the covariance of a generative model is: the interface of its three kinds."""

from __future__ import annotations

from torch import Tensor

from wellposed.errors import InputError
from wellposed.network import Network

from ..gaussian.factor import Factor


class Covariance(Network):
    """How the output of a decoder becomes the Cholesky factor of a precision matrix.

    The decoder gives `coefficients` unbounded numbers a pixel. As a network, a covariance maps them to the
    entries of the factor, `(B, coefficients, H, W)` to `(B, entries, H, W)`, the log-diagonals of all channels
    first; `factor` gives these as a `Factor`.
    """

    #: Numbers a pixel that the decoder has to give.
    coefficients: int

    def __init__(self, channels: int, least_std: float, initial_std: float) -> None:
        super().__init__()
        if channels < 1:
            raise InputError(f"{type(self).__name__} needs channels ≥ 1; {channels} was given")
        if not 0 < least_std < initial_std:
            raise InputError(
                f"{type(self).__name__} needs 0 < least_std < initial_std; {least_std} and {initial_std} were given"
            )
        self.channels, self.least_std, self.initial_std = channels, least_std, initial_std

    def factor(self, raw: Tensor) -> Factor:
        """The factor made of a decoder's output `(B, coefficients, H, W)`."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"channels={self.channels}"
