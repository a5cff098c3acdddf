"""Images of another dataset, turned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from wellposed.dataset import Dataset, Sample, generator_of
from wellposed.errors import InputError


class Rotated(Dataset):
    """Each image of `images` turned counter-clockwise about its middle, once by each of `angles`.

    Sample `i` is image `i // len(angles)` by angle `i mod len(angles)`. Multiples of 90° permute the pixels; other
    angles interpolate linearly between them, with zeros outside the image.

    Args:
        images: the images, square, `(channels, n, n)`; samples that hold measurements are refused.
        angles: in degrees; without them each image is turned once, by an angle drawn from `(seed, i)`.
        seed: of the drawn angles.

    Raises `InputError` for samples without an image or with a measurement, and for images that are not square.
    """

    source = "Celledoni et al. 2021, Inverse Problems 37:085006 (test images that are turned)"

    def __init__(self, images: Dataset, angles: Sequence[float] | None = None, seed: int = 0) -> None:
        if angles is not None and (len(angles) == 0 or not all(map(math.isfinite, angles))):
            raise InputError(f"rotated needs finite angles in degrees, or none to draw them; got {list(angles)}")
        self.images, self.seed = images, seed
        self.angles = None if angles is None else tuple(float(a) for a in angles)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        images = {"use": "ellipses", "size": 16, "length": 2}
        return ({"images": images}, {"images": images, "angles": [90, 180, 30]})

    def __len__(self) -> int:
        return len(self.images) * (1 if self.angles is None else len(self.angles))

    def origin(self, index: int) -> int:
        return self.images.origin(self.check_index(index) // (1 if self.angles is None else len(self.angles)))

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        number, angle = self._turn(index)
        sample = self.images[number]
        if sample.truth is None or sample.measurement is not None:
            raise InputError(f"sample {sample.name} cannot be turned: it must hold an image and no measurement")
        image = sample.truth
        if image.ndim != 3 or image.shape[1] != image.shape[2]:
            raise InputError(f"sample {sample.name} has the shape {tuple(image.shape)}; rotated takes square images")
        return replace(sample, name=f"{sample.name} {angle:.0f}°", truth=turned(image, angle))

    def _turn(self, index: int) -> tuple[int, float]:
        """The image and the angle of sample `index`."""
        if self.angles is None:
            return index, 360.0 * float(torch.rand((), generator=generator_of(self.seed, index), dtype=torch.float64))
        return index // len(self.angles), self.angles[index % len(self.angles)]


def turned(image: Tensor, degrees: float) -> Tensor:
    """The image `(C, n, n)` turned counter-clockwise."""
    quarters = degrees / 90
    if quarters == round(quarters):
        return torch.rot90(image, round(quarters) % 4, (-2, -1)).contiguous()
    if image.is_complex():
        return torch.complex(turned(image.real, degrees), turned(image.imag, degrees))
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]], dtype=image.dtype, device=image.device)
    grid = functional.affine_grid(matrix[None], [1, *image.shape], align_corners=False)
    return functional.grid_sample(image[None], grid, mode="bilinear", align_corners=False)[0]
