"""A covariance between pixels, by the sparse Cholesky factor of its inverse."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError

from ..gaussian.factor import Factor
from ..gaussian.neighbourhood import channel_pairs, half_neighbourhood
from .covariance import Covariance
from .diagonal_covariance import log_diagonal

#: More neighbours than 2,112 a pixel take longer than any covariance of images needs.
_WIDEST = 32


class SparseCholesky(Covariance):
    """`Σ = (L Lᵀ)⁻¹` with `(Lᵀv)_p = e^{l_p} (v_p + Σ_f a_{f,p} v_{p+f})` over the half neighbourhood of `radius`.

    `−a` are the weights with which a pixel is predicted from the later ones around it, `e^{−l}` is the standard
    deviation of what is left. 4 neighbours for radius 1, 12 for 2, 24 for 3; the precision couples pixels up to
    `2·radius` apart, the covariance all. Several channels (real and imaginary part) are coupled in each pixel.
    Radius 0 and one channel make a `diagonal-covariance`.

    Shapes: a decoder's output `(B, C + C·F + C(C−1)/2, H, W)` to entries of the same shape: `l`, the weights
    `w = e^l a` of channel after channel, and those between channels. `l` is bounded as in `diagonal-covariance`.
    Raises `InputError` for a negative radius or one above 32 and unless `0 < least_std < initial_std`.
    """

    source = "Dorta et al. 2018, Structured uncertainty prediction networks, arXiv:1802.07079, sections 3.1 and 3.2"

    def __init__(self, radius: int = 2, channels: int = 1, least_std: float = 0.01, initial_std: float = 0.1) -> None:
        super().__init__(channels, least_std, initial_std)
        if not 0 <= radius <= _WIDEST:
            raise InputError(f"sparse-cholesky needs radius ≥ 0 and ≤ {_WIDEST}; {radius} was given")
        self.radius = radius
        self.neighbours, self.pairs = len(half_neighbourhood(radius)), len(channel_pairs(channels))
        self.in_channels = self.coefficients = channels * (1 + self.neighbours) + self.pairs

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"radius": 1, "channels": 2})

    def forward(self, raw: Tensor) -> Tensor:
        c = self.channels
        log = log_diagonal(raw[:, :c], self.least_std, self.initial_std)
        scale = log.exp()
        first = scale.repeat_interleave(self.neighbours, 1)
        between = [scale[:, i : i + 1] for i, _ in channel_pairs(c)]
        entries = raw[:, c:].mul(first if not between else torch.cat([first, *between], 1))
        return torch.cat([log, entries], 1)

    def factor(self, raw: Tensor) -> Factor:
        entries = self(raw)
        c, f = self.channels, self.neighbours
        size = entries.shape[2:]
        neighbours = entries[:, c : c + c * f].reshape(len(entries), c, f, *size) if f else None
        cross = entries[:, c + c * f :] if self.pairs else None
        return Factor(entries[:, :c], neighbours, cross, self.radius)

    def extra_repr(self) -> str:
        return f"radius={self.radius}, channels={self.channels}"
