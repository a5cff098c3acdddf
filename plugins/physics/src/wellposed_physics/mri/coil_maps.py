"""Synthetic coil sensitivities."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue
from wellposed.pattern import Pattern

from ..operators.arguments import image_size


class Birdcage(Pattern):
    """Sensitivities of straight wires around the object, parallel to the bore.

    A wire at `p` in the transverse plane, seen as the complex plane, has the field
    `B_y + i B_x ∝ 1 / (z − p)` (Biot–Savart); scaled to 1 in the middle of the image:
    `s_j(z) = 1 / (1 − z/p_j)`, `p_j = distance · exp(2πi j/coils)`, with `|z| ≤ 1` inside the circle that
    touches the sides of the image. Normalised to `Σ|s_j|² = 1`.

    Shape: complex `(coils, H, W)` for an image of `(H, W)`.
    """

    source = "Biot-Savart law for straight conductors; Roemer et al. 1990, The NMR phased array"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"coils": 4}, {"coils": 8, "distance": 1.8})

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        # At z = ±1/2 wires at ±2 have the fields 4/3 and 4/5.
        size = math.hypot(4 / 3, 4 / 5)
        near, far = 4 / 3 / size, 4 / 5 / size
        return (KnownValue(((1, 2),), [[[far + 0j, near]], [[near + 0j, far]]], {"coils": 2, "distance": 2.0}),)

    def __init__(self, coils: int, distance: float = 1.5) -> None:
        if coils < 1:
            raise InputError(f"Birdcage needs at least one coil; {coils} was given")
        if distance <= math.sqrt(2):
            raise InputError(
                f"Birdcage wires must be outside the image, at a distance above √2 half-widths; {distance} was given"
            )
        self.coils, self.distance = coils, distance

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        height, width = image_size(shape, self)
        y = -(torch.arange(height, dtype=torch.float64) - (height - 1) / 2) / (height / 2)
        x = (torch.arange(width, dtype=torch.float64) - (width - 1) / 2) / (width / 2)
        z = torch.complex(*torch.broadcast_tensors(x, y[:, None]))
        angle = 2 * torch.pi * torch.arange(self.coils, dtype=torch.float64) / self.coils
        wire = torch.polar(torch.full_like(angle, self.distance), angle)
        maps = 1 / (1 - z / wire[:, None, None])
        return maps / torch.view_as_real(maps).square().sum((0, -1)).sqrt()
