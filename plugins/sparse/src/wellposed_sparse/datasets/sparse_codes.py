"""Random sparse codes."""

from __future__ import annotations

import torch

from wellposed.dataset import Dataset, Sample, generator_of
from wellposed.errors import InputError


class SparseCodes(Dataset):
    """Bernoulli-Gaussian codes: an entry is standard normal with `probability`, else 0.

    Codes `(1, entries)`, float32. Code `i` depends on `(seed, i)` alone.

    Args:
        entries: length of a code.
        probability: of an entry that is not 0.
        length: number of codes.
        seed: of the draws.

    Raises `InputError` for numbers out of range.
    """

    source = "Chen, Liu, Wang & Yin 2018, arXiv:1808.10038, section 4.1"

    def __init__(self, entries: int = 500, probability: float = 0.1, length: int = 1000, seed: int = 0) -> None:
        for name, value in (("entries", entries), ("length", length)):
            if value < 1:
                raise InputError(f"sparse-codes needs {name} ≥ 1; {value} was given")
        if not 0 < probability <= 1:
            raise InputError(f"sparse-codes needs a probability in (0, 1]; {probability} was given")
        self.entries, self.probability, self.length, self.seed = entries, probability, length, seed

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"entries": 20, "length": 3}, {"entries": 12, "probability": 0.5, "length": 4, "seed": 2})

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        generator = generator_of(self.seed, index)
        chosen = torch.rand(self.entries, generator=generator) < self.probability
        values = torch.randn(self.entries, generator=generator)
        return Sample(f"code-{index}", torch.where(chosen, values, 0.0)[None])
