"""The quadratic form of the transmission likelihood."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.interface import KnownValue

from .quadratic import Quadratic
from .transmission import check_line_integrals, check_photons


class WeightedTransmission(Quadratic):
    """Least squares weighted by the counts: the quadratic form of `poisson-transmission`.

    `D(v, y) = ½ Σ w (v − y)²` with `w = n²/(n + b)` and `n = N exp(−y)`, the second-order expansion of that
    likelihood at `v = y`: `1/w` is the variance of post-log data. `photons` `N` and `background` `b` are per
    bin; without background `w = n`, the counts themselves. `v` and `y` are line integrals without unit.
    Convex, with all closed forms of `l2`; smoothness and strong convexity are the largest and smallest
    weight of each sample. `check` raises `InputError` for measurements that are complex.
    """

    source = "Sauer & Bouman 1993, IEEE Trans. Signal Process. 41(2):534, the quadratic approximation"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[1.0]], [[0.0]]), [5.0], {"photons": 10.0}),)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"photons": 1e4}, {"photons": 1e4, "background": 10.0})

    def __init__(self, photons: float, background: float = 0.0) -> None:
        super().__init__()
        check_photons(photons, background)
        self.photons, self.background = float(photons), float(background)

    def weights(self, y: Tensor) -> Tensor:
        n = self.photons * torch.exp(-y)
        return n if self.background == 0 else n * (n / (n + self.background))

    def check(self, y: Tensor) -> None:
        check_line_integrals(y)

    def extra_repr(self) -> str:
        return f"photons={self.photons:g}, background={self.background:g}"
