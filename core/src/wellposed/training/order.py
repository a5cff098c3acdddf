"""Which samples a training step sees: a function of the seed and the step alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ..dataset import generator_of


@dataclass(frozen=True)
class Order:
    """Samples in random order without repetition until all were seen, then in another random order.

    `batch` samples make a step, and the same ones are used for `reuse` steps in a row. Nothing is stored:
    a resumed training asks for step n and gets what an uninterrupted one gets.
    """

    samples: int
    batch: int
    reuse: int
    seed: int

    def of_step(self, step: int) -> list[int]:
        """The indices of step `step`, counted from 0."""
        first = (step // self.reuse) * self.batch
        places = range(first, first + self.batch)
        return [_permutation(self.samples, self.seed, p // self.samples)[p % self.samples] for p in places]


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int) -> list[int]:
    return torch.randperm(count, generator=generator_of(seed, epoch)).tolist()
