"""Weighted least squares: the likelihood of Gaussian noise."""

from __future__ import annotations

import copy

from torch import Tensor

from wellposed.interface import KnownValue
from wellposed.pattern import Pattern

from .per_bin import PerBin
from .quadratic import Quadratic


class L2(Quadratic):
    """Weighted least squares, `D(v, y) = ½ Σ w |v − y|²`.

    `weight` is a number, or one per bin as a tensor or pattern; the likelihood of Gaussian noise has
    `w = 1/σ²`. Real and complex measurements. With `B` samples, gradient `w (v − y)`,
    proximal map `(v + s w y)/(1 + s w)`, conjugate `Σ Re(p̄ y) + |p|²/(2w)`, smoothness `max w`, strong
    convexity `min w`. Raises `InputError` for weights that are negative or do not fit the measurement.
    """

    source = "Gauss 1809; closed forms: Bauschke & Combettes 2017, Convex Analysis, ch. 24"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[1.0, 2.0]], [[0.0, 4.0]]), [2.5]), KnownValue(([[1j]], [[2 + 0j]]), [2.5]))

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"weight": 0.5})

    def __init__(self, weight: float | Tensor | Pattern = 1.0) -> None:
        super().__init__()
        self.weight = PerBin(weight, "weight")

    @classmethod
    def of_samples(cls, weight: Tensor) -> L2:
        """Weights `(B, *range)` that differ from sample to sample."""
        fidelity = cls()
        fidelity.weight = PerBin(weight, "weight", per_sample=True)
        return fidelity

    def weights(self, y: Tensor) -> float | Tensor:
        return self.weight(y)

    def check(self, y: Tensor) -> None:
        self.weight.check(y)

    def take(self, index: Tensor) -> L2:
        if not self.weight.per_sample:
            return self
        part = copy.copy(self)
        part._modules = {**self._modules, "weight": self.weight.take(index)}
        return part

    # Known without the measurement where the weight is one number; so no tensor is made.
    def smoothness(self, y: Tensor) -> float | Tensor:
        return self.weight.largest(y)

    def strong_convexity(self, y: Tensor) -> float | Tensor:
        return self.weight.least(y)
