"""A variance of its own for each pixel."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from ..gaussian.factor import Factor
from .covariance import Covariance


class DiagonalCovariance(Covariance):
    """`Σ = diag(exp(−2l))`: pixels are independent, each with a variance that the decoder gives.

    `l = b − softplus(b − a − h)` for a decoder's output `h`: about `a + h`, and never above `b`, with
    `a = −log initial_std` and `b = −log least_std`; a background without noise would drive it to infinity.

    Shapes: `(B, channels, H, W)` to the same. Raises `InputError` unless `0 < least_std < initial_std`.
    """

    source = "Kingma & Welling 2014, arXiv:1312.6114, appendix C.2 (Gaussian decoder)"

    def __init__(self, channels: int = 1, least_std: float = 0.01, initial_std: float = 0.1) -> None:
        super().__init__(channels, least_std, initial_std)
        self.in_channels = self.coefficients = channels

    def forward(self, raw: Tensor) -> Tensor:
        return log_diagonal(raw, self.least_std, self.initial_std)

    def factor(self, raw: Tensor) -> Factor:
        return Factor(self(raw))


def log_diagonal(raw: Tensor, least_std: float, initial_std: float) -> Tensor:
    """`b − softplus(b − a − h)`, smooth, near `a` for `h = 0` and below `b`."""
    start, limit = -math.log(initial_std), -math.log(least_std)
    # Shifted so that h = 0 gives a exactly.
    shift = math.log(math.expm1(limit - start))
    return limit - functional.softplus(shift - raw)
