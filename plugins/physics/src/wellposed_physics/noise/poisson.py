"""Counting noise of emission."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.noise import Noise

from ..fidelities.kullback_leibler import KullbackLeibler
from .draws import poisson

#: Negative predictions above this fraction of the largest one are rounding and count as 0.
_ROUNDING = 1e-5


class PoissonNoise(Noise):
    """Poisson noise of counts, `y = Poisson(gain · v) / gain`: mean `v`, variance `v / gain`.

    `gain` is the number of counts per unit of the measurement; at `gain=1` the measurement is the counts.
    Raises `InputError` for predictions that are complex or negative beyond rounding. Paired with
    `kullback-leibler`.
    """

    source = "Shepp & Vardi 1982, IEEE Trans. Med. Imaging 1(2):113, the emission model"

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        if not 0 < gain < float("inf"):
            raise InputError(f"the gain, counts per unit, is positive; {gain} was given")
        self.gain = float(gain)

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        if v.is_complex():
            raise InputError("Poisson noise counts; the prediction is complex, take its magnitude first")
        if float(v.min()) < -_ROUNDING * float(v.abs().max()):
            raise InputError(
                f"Poisson noise needs nonnegative predictions; the smallest is {float(v.min()):g}. "
                f"Use nonnegative images"
            )
        return poisson(v.clamp_min(0) * self.gain, generator) / self.gain

    def fidelity(self) -> KullbackLeibler:
        return KullbackLeibler(gain=self.gain)

    def extra_repr(self) -> str:
        return f"gain={self.gain:g}"
