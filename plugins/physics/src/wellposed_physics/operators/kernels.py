"""Blur kernels: nonnegative, of odd size, with sum 1, centred on the middle entry."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue
from wellposed.pattern import Pattern

from .arguments import check_positive, generator


class GaussianKernel(Pattern):
    """`k ∝ exp(−|r|² / 2σ²)` at the pixel centres; `sigma` in pixels.

    `size` is odd; by default `2⌈4σ⌉ + 1`, which leaves 6e-5 of the mass of each axis outside.
    """

    source = "Gaussian point-spread function"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"sigma": 1.0}, {"sigma": 1.5, "size": 7})

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        side = math.exp(-0.5)
        profile = [side, 1.0, side]
        square = [[a * b / (1 + 2 * side) ** 2 for a in profile] for b in profile]
        return (KnownValue(((8, 8),), square, {"sigma": 1.0, "size": 3}),)

    def __init__(self, sigma: float, size: int | None = None) -> None:
        check_positive(sigma, "sigma", self)
        if size is not None and (size < 1 or size % 2 == 0):
            raise InputError(f"GaussianKernel needs an odd size, so that it has a middle; {size} was given")
        self.sigma, self.size = sigma, size or 2 * math.ceil(4 * sigma) + 1

    def total(self, shape: tuple[int, ...]) -> float | None:
        return 1.0

    def __call__(self, shape: tuple[int, ...] = ()) -> Tensor:
        position = torch.arange(self.size, dtype=torch.float64) - self.size // 2
        profile = torch.exp(-0.5 * (position / self.sigma) ** 2)
        profile = profile / profile.sum()
        return profile[:, None] * profile


class DiskKernel(Pattern):
    """Out-of-focus blur: the share of each pixel's area inside a disk of `radius` pixels, normalised."""

    source = "geometric defocus: uniform circle of confusion"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"radius": 2.5},)

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        # Shares of the unit disk: a segment beyond both half-lines in the corners, the whole pixel in the middle.
        corner = math.asin(0.75**0.5) / 2 - math.asin(0.5) / 2 + 0.25 - 0.5 * 0.75**0.5
        side = (math.pi - 1 - 4 * corner) / 4
        areas = [[corner, side, corner], [side, 1.0, side], [corner, side, corner]]
        return (KnownValue(((8, 8),), [[a / math.pi for a in row] for row in areas], {"radius": 1.0}, tolerance=2e-3),)

    def __init__(self, radius: float) -> None:
        check_positive(radius, "radius", self)
        self.radius = radius

    def total(self, shape: tuple[int, ...]) -> float | None:
        return 1.0

    def __call__(self, shape: tuple[int, ...] = ()) -> Tensor:
        reach = math.ceil(self.radius - 0.5)
        edge = torch.arange(-reach, reach + 2, dtype=torch.float64) - 0.5
        # Exact in x, midpoint rule with 64 strips a pixel in y.
        strips = (torch.arange(64 * (2 * reach + 1), dtype=torch.float64) + 0.5) / 64 - reach - 0.5
        half_chord = (self.radius**2 - strips**2).clamp_min(0).sqrt()[:, None]
        covered = torch.minimum(edge[1:], half_chord) - torch.maximum(edge[:-1], -half_chord)
        area = covered.clamp_min(0).view(2 * reach + 1, 64, -1).mean(1)
        return area / area.sum()


class MotionKernel(Pattern):
    """Uniform straight motion over `length` pixels; `angle` in degrees, counter-clockwise from the x axis.

    The path is centred on the middle pixel and laid on the grid by bilinear weights; a length of 0 is no
    blur.
    """

    source = "uniform linear motion blur"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"length": 5.0, "angle": 30.0},)

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        # A line of length 3 along the rows, each of its points shared among its neighbours by distance.
        line = [1 / 24, 7 / 24, 1 / 3, 7 / 24, 1 / 24]
        nothing = [[0.0] * 5] * 2
        return (KnownValue(((8, 8),), [*nothing, line, *nothing], {"length": 3.0}, tolerance=1e-3),)

    def __init__(self, length: float, angle: float = 0.0) -> None:
        if length < 0:
            raise InputError(f"MotionKernel needs length ≥ 0; {length} was given")
        self.length, self.angle = length, angle

    def total(self, shape: tuple[int, ...]) -> float | None:
        return 1.0

    def __call__(self, shape: tuple[int, ...] = ()) -> Tensor:
        steps = 16 * math.ceil(self.length) + 1
        along = ((torch.arange(steps, dtype=torch.float64) + 0.5) / steps - 0.5) * self.length
        angle = math.radians(self.angle)
        return _deposit(-math.sin(angle) * along, math.cos(angle) * along)


class CameraShakeKernel(Pattern):
    """Blur by a hand's random movement along a smooth path of `length` pixels.

    The velocity is an Ornstein–Uhlenbeck process with correlation time `smoothness` of the exposure; the
    path is scaled to its length and centred on its mean. `seed` chooses the movement.
    """

    source = "random camera-shake trajectories after Boracchi and Foi 2012, section III"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"length": 12.0, "seed": 1},)

    def __init__(self, length: float, smoothness: float = 0.25, seed: int = 0) -> None:
        check_positive(length, "length", self)
        check_positive(smoothness, "smoothness", self)
        self.length, self.smoothness, self.seed = length, smoothness, seed

    def total(self, shape: tuple[int, ...]) -> float | None:
        return 1.0

    def __call__(self, shape: tuple[int, ...] = ()) -> Tensor:
        steps = 32 * math.ceil(self.length) + 1
        kicks = torch.randn((2, steps), generator=generator(self.seed), dtype=torch.float64)
        decay = math.exp(-1.0 / (self.smoothness * steps))
        # v_n = Σ_m decay^(n−m) kick_m, the stationary first value included.
        kicks[:, 0] /= math.sqrt(1 - decay**2)
        lag = torch.arange(steps, dtype=torch.float64)
        memory = torch.where(lag[:, None] >= lag, decay ** (lag[:, None] - lag).clamp_min(0), 0)
        velocity = kicks @ memory.T
        path = velocity.cumsum(1) * (self.length / torch.hypot(*velocity).sum())
        return _deposit(*(path - path.mean(1, keepdim=True)))


def _deposit(row: Tensor, column: Tensor) -> Tensor:
    """Equal weights at the points `(row, column)` around the middle, spread bilinearly; sum 1."""
    reach = max(math.ceil(float(torch.stack([row, column]).abs().max()) - 1e-9), 0)
    side = 2 * reach + 1
    kernel = torch.zeros((side + 1, side + 1), dtype=torch.float64).flatten()
    row, column = (row + reach).clamp(0, 2 * reach), (column + reach).clamp(0, 2 * reach)
    top, left = row.floor(), column.floor()
    down, right = row - top, column - left
    corner = (top * (side + 1) + left).long()
    kernel.index_add_(0, corner, (1 - down) * (1 - right))
    kernel.index_add_(0, corner + 1, (1 - down) * right)
    kernel.index_add_(0, corner + side + 1, down * (1 - right))
    kernel.index_add_(0, corner + side + 2, down * right)
    kernel = kernel.view(side + 1, side + 1)[:side, :side]
    return kernel / kernel.sum()
