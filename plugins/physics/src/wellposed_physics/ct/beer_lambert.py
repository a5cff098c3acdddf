"""Transmission of radiation: the Beer-Lambert law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue
from wellposed.operator import LinearOperator, Operator


class BeerLambert(Operator):
    """The fraction of radiation that passes: `F(x) = exp(−μ A x)`, nonlinear.

    `A` is any linear operator, usually line integrals, and `x ≥ 0` is the density relative to a material
    of linear attenuation `μ` per unit of length. Domain and range are those of `A`; the values lie in
    (0, 1] for `x ≥ 0`. With `N` photons sent in, the detector counts `N·F(x)` on average.

    `F'(x)h = −μ F(x) · A h`, so `F'(x)* v = −μ A*(F(x) · v)`.

    Args:
        operator: `A`.
        mu: `μ > 0`, in the inverse of the operator's unit of length.

    Raises `InputError` where `mu` is not positive.
    """

    source = "Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988, section 4.1"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        rows = {"use": "matrix", "domain_shape": [2], "range_shape": [1], "matrix": [[1.0, 2.0]]}
        return (KnownValue(([[1.0, 2.0]],), [[0.5**5]], {"operator": rows, "mu": math.log(2)}),)

    def __init__(self, operator: LinearOperator, mu: float = 1.0) -> None:
        if not mu > 0:
            raise InputError(f"an attenuation mu must be positive; {mu} was given")
        super().__init__(operator.domain, operator.range)
        self.operator, self.mu = operator, float(mu)

    @classmethod
    def examples(cls) -> tuple[Mapping[str, Any], ...]:
        beam = {"use": "parallel-beam", "shape": [16, 16], "angles": 12}
        return ({"operator": beam, "mu": 0.05}, {"operator": beam})

    def _forward(self, x: Tensor) -> Tensor:
        return torch.exp(-self.mu * self.operator(x))

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        self.check_domain(x)
        self.check_range(v)
        return self.operator.adjoint(v * self._forward(x)) * -self.mu

    def norm(self) -> float:
        """`μ‖A‖`, a bound on `‖F'(x)‖` wherever `A x ≥ 0`: for `x ≥ 0` and an operator without negative weights.

        Elsewhere there is none, so an iteration that relies on it must keep its images nonnegative.
        """
        return self.mu * self.operator.norm()

    def linearized(self, y: Tensor) -> Tensor:
        """The measurement that `A` would give: `−log(y)/μ`; values below the smallest normal number count as it."""
        self.check_range(y)
        return -torch.log(y.clamp(min=torch.finfo(y.dtype).tiny)) / self.mu

    def pinv(self, y: Tensor) -> Tensor:
        """The direct inversion of the operator after the logarithm."""
        return self.operator.pinv(self.linearized(y))

    def take(self, index: Tensor) -> BeerLambert:
        return BeerLambert(self.operator.take(index), self.mu)
