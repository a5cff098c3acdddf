"""Additive Laplace noise: outliers are common."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.noise import Noise

from ..fidelities.l1 import L1
from .draws import exponential, uniform


class LaplaceNoise(Noise):
    """Laplace noise, `y = v + e` with density `∝ exp(−|e| / scale)` in every bin; outliers are common.

    `|e|` is the modulus where complex. Real noise has variance `2·scale²`; complex noise `6·scale²` in total,
    with uniform phase. Raises `InputError` where `scale` is not positive. Paired with `l1`.
    """

    source = "Nikolova 2004, J. Math. Imaging Vis. 20:99 (the noise whose likelihood is the ℓ1 fidelity)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"scale": 0.1},)

    def __init__(self, scale: float) -> None:
        super().__init__()
        if not 0 < scale < float("inf"):
            raise InputError(f"Laplace noise has a positive scale; {scale} was given")
        self.scale = float(scale)

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        first, second = exponential(v, generator), exponential(v, generator)
        if not v.is_complex():  # the difference of two exponential variables is Laplace
            return v + self.scale * (first - second)
        # In the plane the modulus has density ∝ r·exp(−r/scale): a sum of two exponential variables.
        phase = 2 * math.pi * uniform(v, generator)
        return v + torch.polar(self.scale * (first + second), phase)

    def fidelity(self) -> L1:
        return L1(1.0 / self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}"
