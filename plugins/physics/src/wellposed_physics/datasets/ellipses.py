"""Random ellipses: the training images of the first learned iterative methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from wellposed.dataset import Dataset, Sample, generator_of
from wellposed.errors import InputError

from .arguments import check_counts
from .rendering import render_ellipses


@dataclass(frozen=True)
class EllipseLaw:
    """The law of one image: `Poisson(count)` independent ellipses on `[−1, 1]²`.

    Each has the value `(U − shift) · Exp(contrast)`, half-axes `Exp(extent)`, centre uniform on `[−spread,
    spread]²`, rotation uniform on `[0, 2π)`; `U` uniform on `[0, 1)`, `Exp(m)` is exponential of mean `m`.
    """

    count: float
    shift: float
    contrast: float
    spread: float
    extent: float = 0.2

    def draw(self, generator: torch.Generator) -> Tensor:
        """A table `(n, 6)` for `render_ellipses`."""
        n = int(torch.poisson(torch.tensor(float(self.count)), generator=generator))
        uniform = torch.rand((n, 4), dtype=torch.float64, generator=generator)
        value, a, b = torch.empty((3, n), dtype=torch.float64).exponential_(generator=generator)
        centre = self.spread * (2 * uniform[:, 1:3] - 1)
        return torch.column_stack(
            [
                (uniform[:, 0] - self.shift) * value * self.contrast,
                a * self.extent,
                b * self.extent,
                centre,
                2 * math.pi * uniform[:, 3],
            ]
        )


#: As the authors' programs have them, which clip and normalise nothing.
LAWS = {
    "learned-gradient": EllipseLaw(count=100, shift=0.3, contrast=0.3, spread=0.5),
    "learned-primal-dual": EllipseLaw(count=50, shift=0.5, contrast=0.4, spread=1.0),
}


class Ellipses(Dataset):
    """Sums of random ellipses, a new image for every index.

    `distribution` names the published one: `learned-gradient` (about 100 ellipses around the middle, mostly
    positive; Adler & Öktem 2017) or `learned-primal-dual` (about 50, all over the image, of either sign; 2018).
    Neither clips nor normalises: values are those of the sums and may be negative. Images
    `(1, size, size)`, `length` of them; image `i` depends on `(seed, i)`. Raises `InputError` for sizes
    below 2, lengths below 1 and unknown distributions.
    """

    source = "Adler & Öktem 2017, Inverse Problems 33:124007; 2018, IEEE Trans. Med. Imaging 37:1322; their programs"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"size": 32}, {"size": 32, "distribution": "learned-primal-dual", "seed": 3, "length": 4})

    def __init__(
        self,
        size: int = 128,
        length: int = 10_000,
        seed: int = 0,
        distribution: Literal["learned-gradient", "learned-primal-dual"] = "learned-gradient",
    ) -> None:
        check_counts(self, size=(size, 2), length=(length, 1))
        if distribution not in LAWS:
            raise InputError(f"Ellipses knows the distributions {', '.join(LAWS)}; {distribution!r} was given")
        self.size, self.length, self.seed, self.law = size, length, seed, LAWS[distribution]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        table = self.law.draw(generator_of(self.seed, index))
        return Sample(f"ellipses-{self.seed}-{index}", render_ellipses(table, self.size).float()[None])
