"""Datasets: indexed samples, the same for the same index and seed, whatever the order of access."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError, ShapeError
from .interface import Component
from .noise import Noise, NoNoise
from .operator import Operator


@dataclass(frozen=True)
class Sample:
    """One sample without batch dimension: what is known of it is there, the rest is `None`.

    `truth`: the image `(C, *spatial)`, or a reference reconstruction. `measurement`: `(*range)`.
    `operator`: the sample's own acquisition model where it comes with the data (file geometry).
    """

    name: str
    truth: Tensor | None = None
    measurement: Tensor | None = None
    operator: Operator | None = None


class Dataset(Component):
    """`len(dataset)` samples; `dataset[i]` depends on `i` and the dataset's seed alone."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def estimated(self) -> Mapping[str, float]:
        """Arguments that it was asked to find in its data, and found, as a recipe would write them.

        By name, or by `data.name` where they are those of the dataset that it wraps.
        """
        return {}

    def origin(self, index: int) -> int:
        """The number of the image that sample `index` is made of; several samples may be cuts or turns of one.

        What a training is measured on shares no image with what it learns from.
        """
        return self.check_index(index)

    def check_index(self, index: int) -> int:
        """`index` in `0 … len−1` (negative ones count from the end); raises `IndexError` outside."""
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"{type(self).__name__} holds {length} samples; index {index} is outside")
        return index % length


class Simulated(Dataset):
    """Measurements simulated on the fly: `noise(A(truth))` for each truth of `images`, `A` the `operator`.

    Images of another size than the operator's are measured by its like for their size, where it has one.
    The noise of sample `i` is drawn from a generator seeded by `(seed, i)` on the CPU, so it is the same
    on every device and in every order.
    """

    source = "simulation: y = noise(A(x))"

    def __init__(self, images: Dataset, operator: Operator, noise: Noise | None = None, seed: int = 0) -> None:
        self.images, self.operator, self.noise, self.seed = images, operator, noise or NoNoise(), seed
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self._resized: dict[tuple[int, ...], Operator] = {}

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Simulated:
        """Simulate on `device` in the (real) precision `dtype` from now on; moves the operator."""
        self.device, self.dtype = torch.device(device), dtype
        self.operator.to(device=self.device, dtype=dtype)
        self._resized.clear()
        return self

    def estimated(self) -> Mapping[str, float]:
        return self.images.estimated()

    def __len__(self) -> int:
        return len(self.images)

    def origin(self, index: int) -> int:
        return self.images.origin(index)

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        image = self.images[index]
        if image.truth is None:
            raise InputError(f"sample {image.name} has no image to simulate a measurement from")
        dtype = self.dtype.to_complex() if image.truth.is_complex() else self.dtype
        truth = image.truth.to(device=self.device, dtype=dtype)
        try:
            operator = self._operator_for(tuple(truth.shape))
        except ShapeError as error:
            raise ShapeError(f"image {image.name}: {error}") from None
        with torch.no_grad():
            ideal = operator(truth[None])
            noisy = self.noise(ideal.cpu(), generator_of(self.seed, index, "noise")).to(ideal.device)
        return Sample(image.name, truth, noisy[0], operator)

    def _operator_for(self, shape: tuple[int, ...]) -> Operator:
        """The operator for images of `shape`, built once, so that images of one size share it."""
        if shape == self.operator.domain.shape:
            return self.operator
        if shape not in self._resized:
            self._resized[shape] = self.operator.for_shape(shape).to(device=self.device, dtype=self.dtype)
        return self._resized[shape]


def generator_of(seed: int, index: int, purpose: str = "") -> torch.Generator:
    """A CPU generator that depends on its arguments alone; neighbours are independent.

    `purpose` sets streams of the same seed and index apart: noise must not repeat what drew its image.
    """
    mixed = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % (1 << 63)
    if purpose:
        digest = hashlib.blake2b(f"{mixed} {purpose}".encode(), digest_size=8).digest()
        mixed = int.from_bytes(digest, "little") >> 1
    return torch.Generator().manual_seed(mixed)
