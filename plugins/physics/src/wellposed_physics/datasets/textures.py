"""Random images of textured objects that occlude each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.dataset import Dataset, Sample, generator_of

from .arguments import check_counts

_SIDES = 6
_SMALLEST, _LARGEST = 0.15, 0.8
#: Spectral slopes of the textures: smooth, as in natural images, rough.
_SLOPES = (2.0, 1.5, 1.0, 0.5)


class Textures(Dataset):
    """Piecewise smooth random images: dead leaves with shading and 1/f textures, from 0 to 1.

    `leaves` ellipses and convex polygons fall on each other; their radii have the density `∝ r⁻³` that makes
    the images look alike at every scale. Each leaf has a gray value, a linear shading and one of four
    textures of Gaussian noise with amplitude spectrum `|k|^−β`. Images `(1, size, size)`, `length` of them;
    image `i` depends on `(seed, i)`. Raises `InputError` for sizes below 8, lengths and leaves below 1.
    """

    source = "dead leaves: Lee, Mumford & Huang 2001, Int. J. Comput. Vis. 41:35; 1/f spectra: Field 1987"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"size": 32}, {"size": 24, "leaves": 5, "seed": 2, "length": 3})

    def __init__(self, size: int = 128, length: int = 10_000, seed: int = 0, leaves: int = 40) -> None:
        check_counts(self, size=(size, 8), length=(length, 1), leaves=(leaves, 1))
        self.size, self.length, self.seed, self.leaves = size, length, seed, leaves

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        generator = generator_of(self.seed, index)
        top = _topmost(self.leaves, self.size, generator)
        image = _painted(top, self.leaves + 1, generator)
        image = (image - image.min()) / (image.max() - image.min())
        return Sample(f"textures-{self.seed}-{index}", image[None])


def _grid(size: int) -> tuple[Tensor, Tensor]:
    line = (torch.arange(size) + 0.5) * 2 / size - 1
    return line, line[:, None]


def _topmost(leaves: int, size: int, generator: torch.Generator) -> Tensor:
    """At each pixel the number of the leaf that fell last, 0 where there is none; `(size, size)`.

    Leaves are convex: each meets a row in an interval, and only those ends need arithmetic.
    """
    u = torch.rand((leaves, 6 + 2 * _SIDES), generator=generator)
    small, large = _SMALLEST**-2, _LARGEST**-2
    radius = (small - u[:, 0] * (small - large)).rsqrt()[:, None]
    cx, cy = (2.4 * u[:, 1:3, None] - 1.2).unbind(1)
    x, rows = _grid(size)
    dy = rows.T - cy
    polygon = _polygon_interval(dy, radius, u[:, 6 : 6 + _SIDES], u[:, 6 + _SIDES :])
    ellipse = _ellipse_interval(dy, radius, radius * (0.3 + 0.7 * u[:, 3:4]), math.pi * u[:, 4:5])
    low, high = (cx + torch.where(u[:, 5:6] < 0.5, p, e) for p, e in zip(polygon, ellipse, strict=True))
    covered = (x >= low[..., None]) & (x <= high[..., None])
    order = torch.arange(1, leaves + 1, dtype=torch.int16)[:, None, None]
    return (covered * order).amax(0).long()


def _polygon_interval(dy: Tensor, radius: Tensor, turn: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Where a row at `dy` meets the half-planes `x cos a + y sin a ≤ d`, in x from the leaf's centre; `(n, rows)`.

    The directions are spread around the circle, one in each sector, so that they enclose a bounded polygon.
    """
    angle = ((torch.arange(_SIDES) + turn) * (2 * math.pi / _SIDES))[..., None]
    distance = radius[..., None] * (0.6 + 0.4 * reach[..., None])
    end = (distance - dy[:, None] * angle.sin()) / angle.cos()
    rightward = angle.cos() > 0
    return torch.where(rightward, -torch.inf, end).amax(1), torch.where(rightward, end, torch.inf).amin(1)


def _ellipse_interval(dy: Tensor, a: Tensor, b: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """Where a row at `dy` meets an ellipse with half-axes `a`, `b`, in x from its centre; `(n, rows)`."""
    cos, sin = turn.cos(), turn.sin()
    reach = (cos * b).square() + (sin * a).square()
    middle = dy * cos * sin * (a.square() - b.square()) / reach
    half = a * b / reach.sqrt() * (1 - dy.square() / ((sin * a).square() + (cos * b).square())).sqrt()
    return middle - half, middle + half  # not a number, and in no comparison, where they do not meet


def _painted(top: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Gray value, shading and texture of each pixel's leaf."""
    size = len(top)
    x, y = _grid(size)
    gray, roughness = torch.rand((2, count), generator=generator)
    slope_x, slope_y = 0.25 * torch.randn((2, count), generator=generator)
    textures = _textures(size, generator)
    which = torch.randint(len(_SLOPES), (count,), generator=generator)
    texture = textures.gather(0, which[top][None])[0]
    return gray[top] + slope_x[top] * x + slope_y[top] * y + 0.2 * roughness[top] * texture


def _textures(size: int, generator: torch.Generator) -> Tensor:
    """Gaussian fields of unit variance with each of the spectral slopes, `(slopes, size, size)`."""
    white = torch.fft.rfft2(torch.randn((len(_SLOPES), size, size), generator=generator))
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size))
    frequency[0, 0] = 1
    slopes = torch.tensor(_SLOPES)[:, None, None]
    field = torch.fft.irfft2(white * frequency**-slopes, s=(size, size))
    field = field - field.mean((1, 2), keepdim=True)
    return field / field.std((1, 2), keepdim=True)
