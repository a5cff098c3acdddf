"""Additive white Gaussian noise."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.noise import Noise

from ..fidelities.l2 import L2
from .draws import normal


class GaussianNoise(Noise):
    """White Gaussian noise, `y = v + s·n` with `n` standard normal in every bin.

    `relative_to="one"`: `s = sigma`, in the unit of the measurement. `relative_to="mean-abs"`:
    `s = sigma · mean|v|` of each sample, over all of its bins, so `sigma=0.05` is the field's "5 % noise".
    Of complex measurements the real and the imaginary part have standard deviation `s` each.

    Raises `InputError` where `sigma` is negative. Paired with `l2`.
    """

    source = "Adler & Öktem 2017, Inverse Problems 33:124007 (noise relative to mean |Ax|)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"sigma": 0.1}, {"sigma": 0.05, "relative_to": "mean-abs"})

    def __init__(self, sigma: float, relative_to: Literal["one", "mean-abs"] = "one") -> None:
        super().__init__()
        if not 0 <= sigma < float("inf"):
            raise InputError(f"Gaussian noise has a standard deviation sigma ≥ 0; {sigma} was given")
        if relative_to not in ("one", "mean-abs"):
            raise InputError(f"relative_to is 'one' or 'mean-abs'; {relative_to!r} was given")
        self.sigma, self.relative_to = float(sigma), relative_to
        self.known_scale = relative_to == "one" and self.sigma > 0

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        noise = normal(v, generator)
        if self.relative_to == "mean-abs":
            noise *= v.abs().flatten(1).mean(1).reshape(-1, *([1] * (v.ndim - 1)))
        return torch.add(v, noise, alpha=self.sigma)

    def fidelity(self) -> L2:
        """`‖v − y‖² / (2σ²)`.

        Without the factor `1/σ²` where it is not known in advance: noise relative to the data, or none.
        The weight of the regularizer is then in units of the noise variance.
        """
        return L2(1.0 / self.sigma**2 if self.known_scale else 1.0)

    def extra_repr(self) -> str:
        return f"sigma={self.sigma:g}, relative_to={self.relative_to!r}"
