"""Noise models: how a measurement differs from the prediction of the operator."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import InputError
from .fidelity import Fidelity
from .interface import KnownValue
from .module import ComponentModule


class Noise(ComponentModule):
    """A random map from ideal to noisy measurements, tied to the fidelity that is its likelihood."""

    #: Whether `fidelity` is the likelihood in its unit too, and not up to a factor that only the data tell.
    known_scale: bool = True

    def __call__(self, v: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`forward`; raises `InputError` without a generator, since random numbers come from nowhere else."""
        if not isinstance(generator, torch.Generator):
            raise InputError(
                f"{type(self).__name__} draws from a generator, its second argument: "
                f"torch.Generator().manual_seed(0) is one"
            )
        return super().__call__(v, generator)

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        """A noisy measurement of `v`, drawn from `generator`; shape and device of `v`."""
        raise NotImplementedError

    def fidelity(self) -> Fidelity:
        """The negative log-likelihood of this noise, up to what does not depend on the prediction."""
        raise NotImplementedError


class NoNoise(Noise):
    """The ideal measurement, `y = v`."""

    source = "no noise: the identity"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[1.0, -2.0]], torch.Generator()), [[1.0, -2.0]]),)

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v
