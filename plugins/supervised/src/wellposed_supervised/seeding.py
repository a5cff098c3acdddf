"""Random numbers of code that draws from torch's global generators, without touching them for others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Seed torch's generators from `numbers` inside the block, and put them back after it."""
    seed = 0
    for number in numbers:
        seed = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % (1 << 63)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
