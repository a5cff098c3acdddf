"""Random indicator functions on an interval: the one-dimensional benchmark of bilevel learning."""

from __future__ import annotations

import torch

from wellposed import Dataset, InputError, Sample
from wellposed.dataset import generator_of


class IndicatorSignals(Dataset):
    """`x(t) = 1` where `|t − c| < r`, else 0, on an equidistant grid of `[−2, 2]`; signals `(1, pixels)`.

    `c ~ U(−1, 1)`, `r ~ U(½, 1)`. `count` signals of `pixels` samples each; signal `i` depends on
    `(seed, i)` alone. Raises `InputError` for sizes below 1.
    """

    source = "Ehrhardt and Roberts 2021, Inexact derivative-free optimization for bilevel learning, section 4.2"

    def __init__(self, count: int = 20, pixels: int = 256, seed: int = 0) -> None:
        if count < 1 or pixels < 1:
            raise InputError(f"IndicatorSignals needs count ≥ 1 and pixels ≥ 1; got {count} and {pixels}")
        self.count, self.pixels, self.seed = count, pixels, seed

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"count": 3, "pixels": 64, "seed": 7})

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        uniform = torch.rand(2, generator=generator_of(self.seed, index), dtype=torch.float64)
        centre, radius = 2 * uniform[0] - 1, 0.5 + 0.5 * uniform[1]
        grid = torch.linspace(-2, 2, self.pixels, dtype=torch.float64)
        signal = ((grid - centre).abs() < radius).to(torch.float32)
        return Sample(f"indicator-{index}", signal[None])
