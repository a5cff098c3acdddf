"""Σ = s²·I: every pixel has the same variance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..gaussian.factor import Factor
from .covariance import Covariance


class IdentityCovariance(Covariance):
    """`Σ = s² I` with one learned `s`: the regularizer is then the soft distance `‖u − μ(z)‖²` to a generator's range.

    `s` begins at `initial_std` and never gets below `least_std`. The decoder gives nothing: any tensor `(B, …, H, W)`
    tells batch and size of the log-diagonals `(B, channels, H, W)`.
    Raises `InputError` unless `0 < least_std < initial_std`.
    """

    source = "Duff, Campbell & Ehrhardt 2024, J. Math. Imaging Vis. 66:37 (soft constraints, distance to the range)"
    coefficients = 0

    def __init__(self, channels: int = 1, least_std: float = 0.01, initial_std: float = 0.1) -> None:
        super().__init__(channels, least_std, initial_std)
        self.in_channels = channels
        self.excess = nn.Parameter(torch.tensor(math.log(initial_std - least_std)))

    def forward(self, raw: Tensor) -> Tensor:
        log_diagonal = -(self.least_std + self.excess.exp()).log()
        return log_diagonal.expand(len(raw), self.channels, *raw.shape[2:])

    def factor(self, raw: Tensor) -> Factor:
        return Factor(self(raw))
