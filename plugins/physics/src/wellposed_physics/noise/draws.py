"""Random numbers from a given generator, of the shape, precision and device of a tensor.

They are drawn on the generator's device, so that a CPU generator gives the same numbers everywhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent standard normal numbers; of a complex tensor, both the real and the imaginary part are."""
    drawn = torch.randn(like.shape, dtype=like.dtype, device=generator.device, generator=generator)
    if like.is_complex():  # torch gives them total variance 1
        drawn *= math.sqrt(2)
    return drawn.to(like.device)


def exponential(like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent real numbers with density `exp(−t)`, `t > 0`."""
    empty = torch.empty(like.shape, dtype=like.dtype.to_real(), device=generator.device)
    return empty.exponential_(generator=generator).to(like.device)


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent real numbers in `[0, 1)`."""
    drawn = torch.rand(like.shape, dtype=like.dtype.to_real(), device=generator.device, generator=generator)
    return drawn.to(like.device)


def poisson(rate: Tensor, generator: torch.Generator) -> Tensor:
    """Poisson counts of mean `rate ≥ 0`."""
    return torch.poisson(rate.to(generator.device), generator=generator).to(rate.device)
