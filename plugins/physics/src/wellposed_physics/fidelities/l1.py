"""Weighted absolute deviation: the likelihood of Laplace noise."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.fidelity import Fidelity
from wellposed.interface import KnownValue
from wellposed.pattern import Pattern
from wellposed.space import inner, per_sample

from .per_bin import PerBin


class L1(Fidelity):
    """Weighted absolute deviation, `D(v, y) = Σ w |v − y|`, robust against outliers.

    `weight` is a number, or one per bin as a tensor or pattern; the likelihood of Laplace noise has
    `w = 1/scale`. Complex measurements take the modulus. Not smooth: `gradient` is the subgradient
    `w sign(v − y)`, 0 where they agree. Proximal map: soft thresholding towards `y` by `s w`; conjugate
    `Re<p, y>` on `|p| ≤ w`, infinite elsewhere.
    """

    source = "Nikolova 2004, J. Math. Imaging Vis. 20:99"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[1.0, 2.0]], [[0.0, 4.0]]), [3.0]), KnownValue(([[3 + 0j]], [[4j]]), [5.0]))

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"weight": 0.5})

    def __init__(self, weight: float | Tensor | Pattern = 1.0) -> None:
        super().__init__()
        self.weight = PerBin(weight, "weight")

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return (self.weight(y) * (v - y).abs()).flatten(1).sum(1)

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return self.weight(y) * torch.sgn(v - y)

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        """`v` moved towards `y` by `s w`, and no further than `y`."""
        distance = v - y
        return v - _into_ball(distance, per_sample(step, v) * self.weight(y))

    def prox_conjugate(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        """The projection of `v − s y` onto `|p| ≤ w`."""
        return _into_ball(v - per_sample(step, v) * y, self.weight(y))

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        outside = p.abs() > self.weight(y) * (1 + 8 * torch.finfo(p.dtype).eps)
        return torch.where(outside.flatten(1).any(1), torch.inf, inner(p, y))

    def check(self, y: Tensor) -> None:
        self.weight.check(y)


def _into_ball(p: Tensor, radius: float | Tensor) -> Tensor:
    """The nearest point of modulus at most `radius`, bin by bin."""
    if not p.is_complex():
        return p.clamp(-radius, radius)  # type: ignore[arg-type] - numbers or tensors, both alike
    modulus = p.abs()
    return p * (radius / torch.clamp(modulus, min=torch.finfo(modulus.dtype).tiny)).clamp_max(1)
