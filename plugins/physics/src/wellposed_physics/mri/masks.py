"""Sampling masks of k-space; DC is at `(H//2, W//2)` in all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.pattern import Pattern

from ..operators.arguments import check_fraction, generator, image_size


class FullMask(Pattern):
    """Everything is observed."""

    source = "Nyquist sampling"

    def total(self, shape: tuple[int, ...]) -> float | None:
        return float(math.prod(image_size(shape, self)))

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.ones(image_size(shape, self), dtype=torch.bool)


class CartesianMask(Pattern):
    """Whole lines of k-space: a fully sampled centre and random lines of variable density around it.

    `round(N / acceleration)` of the `N` lines along `axis` are kept: `round(center_fraction · N)` in the
    middle, the others drawn without replacement with probability `∝ (1 − |k|/k_max)^density`; density 0 is
    uniform. `seed` chooses the draw. `axis` is the phase-encoding axis, along which lines are left out: 1
    keeps columns, 0 rows.

    Shape: bool `(H, W)`. Raises `InputError` where the centre alone has more lines than may be kept.
    """

    source = "Lustig, Donoho, Pauly 2007, Sparse MRI, section on variable-density Cartesian sampling"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"acceleration": 4.0},
            {"acceleration": 2.0, "center_fraction": 0.2, "axis": 0, "density": 0.0},
        )

    def __init__(
        self,
        acceleration: float = 4.0,
        center_fraction: float = 0.08,
        axis: int = 1,
        density: float = 2.0,
        seed: int = 0,
    ) -> None:
        if acceleration < 1:
            raise InputError(f"CartesianMask needs acceleration ≥ 1; {acceleration} was given")
        if not 0 <= center_fraction <= 1:
            raise InputError(f"CartesianMask needs center_fraction in [0, 1]; {center_fraction} was given")
        if axis not in (0, 1):
            raise InputError(f"CartesianMask undersamples axis 0 (rows) or 1 (columns); {axis} was given")
        self.acceleration, self.center_fraction, self.axis = acceleration, center_fraction, axis
        self.density, self.seed = _density(density, self), seed

    def total(self, shape: tuple[int, ...]) -> float:
        size = image_size(shape, self)
        return float(max(round(size[self.axis] / self.acceleration), 1) * size[1 - self.axis])

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        size = image_size(shape, self)
        lines = size[self.axis]
        count = max(round(lines / self.acceleration), 1)
        centre = round(self.center_fraction * lines)
        if centre > count:
            raise InputError(
                f"CartesianMask may keep {count} of {lines} lines, fewer than the {centre} of its centre; "
                f"lower center_fraction or acceleration"
            )
        distance = (torch.arange(lines) - lines // 2).abs().to(torch.float64) / (lines // 2 + 1)
        kept = _draw(distance, _central(lines, centre), count, self.density, self.seed)
        return (kept[:, None] if self.axis == 0 else kept).expand(size).clone()


class RandomMask(Pattern):
    """Single points of k-space at random, variable density, with a fully sampled central square.

    `round(ratio · H · W)` points: the `calibration × calibration` ones in the middle, the others drawn from
    `seed` without replacement with probability `∝ (1 − r)^density`, `r` the distance from DC over that of the
    corner.

    Shape: bool `(H, W)`. Raises `InputError` where the square alone has more points than may be kept.
    """

    source = "Lustig, Donoho, Pauly 2007, Sparse MRI, section on variable-density random sampling"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"ratio": 0.25}, {"ratio": 0.4, "calibration": 4, "density": 2.0})

    def __init__(self, ratio: float, calibration: int = 0, density: float = 3.0, seed: int = 0) -> None:
        check_fraction(ratio, "ratio", self)
        self.ratio, self.calibration = ratio, check_calibration(calibration, self)
        self.density, self.seed = _density(density, self), seed

    def total(self, shape: tuple[int, ...]) -> float | None:
        return float(point_count(self.ratio, image_size(shape, self)))

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        size = image_size(shape, self)
        count = point_count(self.ratio, size)
        square = central_square(size, self.calibration)
        if int(square.sum()) > count:
            raise InputError(
                f"RandomMask may keep {count} of {math.prod(size)} points, fewer than the {int(square.sum())} "
                f"of its calibration square; lower calibration or raise ratio"
            )
        return _draw(radius(size), square, count, self.density, self.seed)


class RadialMask(Pattern):
    """Pseudo-radial: straight spokes through DC, rounded to the grid, evenly spread over 180°.

    Give `lines`, the number of spokes, or `ratio`: then as many spokes are laid as it takes, and the last one
    is cut at its outer ends, so that `round(ratio · H · W)` points are kept. Spokes reach the edges of
    k-space and have one point in each row or column they cross; the first is the horizontal axis.

    Shape: bool `(H, W)`. Raises `InputError` unless exactly one of the two is given.
    """

    source = "Candes, Romberg, Tao 2006, Robust uncertainty principles, section 1.1 (radial lines)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"lines": 8}, {"ratio": 0.3})

    def __init__(self, lines: int | None = None, ratio: float | None = None) -> None:
        if (lines is None) == (ratio is None):
            raise InputError("RadialMask takes either lines (a number of spokes) or ratio (kept over all points)")
        if lines is not None and lines < 1:
            raise InputError(f"RadialMask needs at least one line; {lines} was given")
        if ratio is not None:
            check_fraction(ratio, "ratio", self)
        self.lines, self.ratio = lines, ratio

    def total(self, shape: tuple[int, ...]) -> float | None:
        return None if self.ratio is None else float(point_count(self.ratio, image_size(shape, self)))

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        size = image_size(shape, self)
        if self.lines is not None:
            return _first_visit(size, self.lines) < torch.inf
        assert self.ratio is not None
        count = point_count(self.ratio, size)
        lines = 1
        while int((visits := _first_visit(size, lines)).isfinite().sum()) < count:
            lines += max(1, round((count - int(visits.isfinite().sum())) / (2 * max(size))))
        order = visits.flatten().argsort()[:count]
        mask = torch.zeros(math.prod(size), dtype=torch.bool)
        mask[order] = True
        return mask.view(size)


def point_count(ratio: float, size: tuple[int, int]) -> int:
    """How many of the points are kept: the nearest number, at least one."""
    return max(round(ratio * math.prod(size)), 1)


def radius(size: tuple[int, int]) -> Tensor:
    """Distance of each point from DC over that of the corner, in `[0, 1)`; the axes count alike."""
    row, column = ((torch.arange(n, dtype=torch.float64) - n // 2) / (n // 2 + 1) for n in size)
    return torch.hypot(row[:, None], column) / math.sqrt(2)


def central_square(size: tuple[int, int], side: int) -> Tensor:
    """The `side × side` points around DC."""
    return _central(size[0], side)[:, None] & _central(size[1], side)


def check_calibration(calibration: int, owner: object) -> int:
    if calibration < 0:
        raise InputError(f"{type(owner).__name__} needs calibration ≥ 0; {calibration} was given")
    return calibration


def _central(length: int, count: int) -> Tensor:
    position = torch.arange(length) - length // 2
    return (position >= -(count // 2)) & (position < count - count // 2)


def _draw(distance: Tensor, certain: Tensor, count: int, density: float, seed: int) -> Tensor:
    """`count` entries: the certain ones, the others without replacement with weight `(1 − distance)^density`.

    Exponential clocks with these rates; the first to ring are drawn (Efraimidis and Spirakis 2006).
    """
    uniform = torch.rand(distance.shape, generator=generator(seed), dtype=torch.float64)
    clock = -torch.log1p(-uniform) / (1 - distance) ** density
    clock[certain] = -1.0
    mask = torch.zeros(distance.numel(), dtype=torch.bool)
    mask[clock.flatten().argsort()[:count]] = True
    return mask.view(distance.shape)


def _first_visit(size: tuple[int, int], lines: int) -> Tensor:
    """For each point its place in the order spoke by spoke, inside out; infinity for points on no spoke."""
    height, width = size
    steps = max(height, width)
    reach = torch.arange(-(steps // 2), steps // 2 + 1, dtype=torch.float64) / (steps / 2)
    reach = reach[reach.abs().argsort(stable=True)]
    angle = torch.pi * torch.arange(lines, dtype=torch.float64) / lines
    direction = torch.stack([-angle.sin(), angle.cos()])
    direction = direction / direction.abs().amax(0)  # spokes end at the sides of the square [−1, 1]²
    row, column = (
        torch.round(d[:, None] * reach * (n / 2)).long() + n // 2 for d, n in zip(direction, size, strict=True)
    )
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = torch.arange(row.numel(), dtype=torch.float64).view(row.shape)
    first = torch.full((height * width,), torch.inf, dtype=torch.float64)
    first.scatter_reduce_(0, (row * width + column)[inside], place[inside], "amin")
    return first.view(size)


def _density(density: float, owner: object) -> float:
    if density < 0:
        raise InputError(f"{type(owner).__name__} needs density ≥ 0; {density} was given")
    return density
