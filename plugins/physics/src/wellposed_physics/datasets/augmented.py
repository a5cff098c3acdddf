"""Images of another dataset, turned, moved, scaled and dimmed at random."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from wellposed.dataset import Dataset, Sample, generator_of
from wellposed.errors import InputError


class Augmented(Dataset):
    """`length` variants of the images of a dataset: sample `i` is of image `i mod n`, with a motion of its own.

    `u'(p) = a·u(M p + b)^g`, interpolated bilinearly, zero outside. All is drawn from `(seed, i)`, uniformly.

    Args:
        images: where the images come from; each is read once and kept in memory.
        length: number of samples; without it, as many as there are images.
        rotation: largest angle in degrees, in both directions.
        shift: largest motion along each axis, as a part of the image's side.
        scale: largest change of size, as a part of it; 0.1 is from 0.9 to 1.1 times.
        flip: mirror every other image left to right.
        intensity: largest change of brightness `a`, as a part of it.
        gamma: the exponent `g` is between `1/(1+gamma)` and `1+gamma`; images with negative pixels need 0.
        size: then resize to `size × size` with area weights. Motions blur less at a finer resolution than the one
            that is learned.
        seed: of all draws.

    Images `(C, H, W)`, real. Raises `InputError` for numbers out of range and for images that are not real 2D ones.
    Source: Simard, Steinkraus and Platt 2003 (affine distortions of training images).
    """

    source = "Simard, Steinkraus & Platt 2003, ICDAR, section 2 (expanding data sets by affine distortions)"

    def __init__(
        self,
        images: Dataset,
        length: int | None = None,
        rotation: float = 0.0,
        shift: float = 0.0,
        scale: float = 0.0,
        flip: bool = False,
        intensity: float = 0.0,
        gamma: float = 0.0,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        for name, value, limit in (("shift", shift, 1.0), ("scale", scale, 1.0), ("intensity", intensity, 1.0)):
            if not 0 <= value < limit:
                raise InputError(f"augmented needs 0 ≤ {name} < {limit:g}; {value} was given")
        for name, count in (("length", length), ("size", size)):
            if count is not None and count < 1:
                raise InputError(f"augmented needs {name} ≥ 1; {count} was given")
        if rotation < 0 or gamma < 0:
            raise InputError(f"augmented needs rotation and gamma ≥ 0; {rotation} and {gamma} were given")
        self.images, self.length, self.seed, self.size = images, length, seed, size
        self.rotation, self.shift, self.scale, self.flip = rotation, shift, scale, flip
        self.intensity, self.gamma = intensity, gamma
        self._kept: dict[int, Sample] = {}

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        phantom = {"use": "shepp-logan", "size": 16}
        motions = {"rotation": 15.0, "shift": 0.05, "scale": 0.1, "flip": True, "intensity": 0.2}
        return ({"images": phantom, "length": 4, **motions}, {"images": phantom, "size": 8})

    def __len__(self) -> int:
        return len(self.images) if self.length is None else self.length

    def origin(self, index: int) -> int:
        return self.images.origin(self.check_index(index) % len(self.images))

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        number = index % len(self.images)
        if number not in self._kept:
            self._kept[number] = self.images[number]
        original = self._kept[number]
        truth = original.truth
        if truth is None or truth.is_complex() or truth.ndim != 3:
            raise InputError(f"augmented moves real images (C, H, W); sample {original.name} is none")
        image = self._moved(truth, torch.rand(8, generator=generator_of(self.seed, index), dtype=torch.float64))
        return Sample(f"{original.name}#{index // len(self.images)}", image)

    def _moved(self, image: Tensor, draws: Tensor) -> Tensor:
        """The image after the motion that eight numbers in [0, 1) choose."""
        u = [2 * float(d) - 1 for d in draws]
        out = image.clone()
        if self.gamma:
            if bool((out < 0).any()):
                raise InputError("augmented takes powers of nonnegative images alone; set gamma to 0")
            out = out.pow((1 + self.gamma) ** u[6])
        if self.rotation or self.shift or self.scale or self.flip:
            angle, size = math.radians(self.rotation * u[0]), 1 / (1 + self.scale * u[1])
            mirror = -1.0 if self.flip and u[2] < 0 else 1.0
            c, s = size * math.cos(angle), size * math.sin(angle)
            aspect = out.shape[1] / out.shape[2]  # the grid measures each side from -1 to 1
            theta = [
                [mirror * c, -mirror * s * aspect, 2 * self.shift * u[3]],
                [s / aspect, c, 2 * self.shift * u[4]],
            ]
            grid = functional.affine_grid(torch.tensor([theta], dtype=out.dtype), [1, *out.shape], align_corners=False)
            out = functional.grid_sample(out[None], grid, align_corners=False)[0]
        if self.size is not None:
            out = functional.interpolate(
                out[None], size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=True
            )[0]
        return out * (1 + self.intensity * u[5])
