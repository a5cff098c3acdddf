"""Structural similarity."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue
from wellposed.metric import Metric

from .checks import check_data_range, check_pair, data_ranges, magnitudes

_SIGMA = 1.5
_SIZE = {"gaussian": 11, "uniform": 7}


class SSIM(Metric):
    """Mean structural similarity, one number per image, averaged over all whole windows and the channels.

    `SSIM = (2 m_x m_t + C₁)(2 s_xt + C₂) / ((m_x² + m_t² + C₁)(s_x² + s_t² + C₂))` with means `m`, variances
    and covariance `s` in a window, `C₁ = (k1 R)²`, `C₂ = (k2 R)²`. `window="gaussian"`: 11 × 11, σ 1.5,
    population variances (Wang et al. 2004). `window="uniform"`: 7 × 7, sample variances, the defaults of
    scikit-image. `R = data_range`, or with `data_range: null` the `max − min` of each true image; figures
    of one range do not compare with those of another (many older ones of images in [0, 1] used 2).
    Complex images are compared by magnitude. Images of any number of axes, computed in double precision.

    Raises `ShapeError` for images of different shapes, `InputError` for images smaller than the window and
    for a constant truth without a stated range.
    """

    source = "Wang, Bovik, Sheikh & Simoncelli 2004, IEEE Trans. Image Process. 13(4), the mean SSIM index"
    better = "higher"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"data_range": 1.0, "window": "uniform"})

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        # Constant images have luminance alone; of a single uniform window the moments are those of its pixels.
        c1, c2 = 0.01**2, 0.03**2
        ones = torch.ones(1, 1, 12, 12, dtype=torch.float64)
        x, t = torch.linspace(0, 1, 49, dtype=torch.float64), torch.linspace(-1, 1, 49, dtype=torch.float64).square()
        cov = torch.cov(torch.stack([x, t]))
        luminance = (2 * x.mean() * t.mean() + c1) / (x.mean() ** 2 + t.mean() ** 2 + c1)
        structure = (2 * cov[0, 1] + c2) / (cov[0, 0] + cov[1, 1] + c2)
        window = (x.reshape(1, 1, 7, 7), t.reshape(1, 1, 7, 7))
        return (
            KnownValue((0.5 * ones, ones), [(1 + c1) / (1.25 + c1)], {"data_range": 1.0}),
            KnownValue(window, [float(luminance * structure)], {"data_range": 1.0, "window": "uniform"}),
        )

    def __init__(
        self,
        data_range: float | None = None,
        window: Literal["gaussian", "uniform"] = "gaussian",
        k1: float = 0.01,
        k2: float = 0.03,
    ) -> None:
        check_data_range(data_range, self)
        if window not in _SIZE:
            raise InputError(f"SSIM takes the window 'gaussian' or 'uniform'; {window!r} was given")
        if not (k1 > 0 and k2 > 0):
            raise InputError(f"SSIM takes positive constants k1 and k2; {k1} and {k2} were given")
        self.data_range, self.window, self.k1, self.k2 = data_range, window, k1, k2

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        check_pair(x, truth, self)
        size = _SIZE[self.window]
        if x.ndim < 3 or min(x.shape[2:]) < size:
            raise InputError(f"SSIM's {self.window} window has {size} pixels a side; an image is {tuple(x.shape[2:])}")
        x, truth = magnitudes(x).double(), magnitudes(truth).double()
        ranges = data_ranges(truth, self.data_range, self).reshape(-1, *([1] * (x.ndim - 1)))
        mean_x, mean_t, var_x, var_t, cov = self._moments(x, truth)
        c1, c2 = (self.k1 * ranges) ** 2, (self.k2 * ranges) ** 2
        luminance = (2 * mean_x * mean_t + c1) / (mean_x.square() + mean_t.square() + c1)
        structure = (2 * cov + c2) / (var_x + var_t + c2)
        return (luminance * structure).flatten(1).mean(1)

    def _moments(self, x: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """Means, variances and covariance of every window that lies in the image."""
        stacked = _windowed(torch.stack([x, t, x * x, t * t, x * t]), self._weights(), x.ndim - 2)
        mean_x, mean_t, square_x, square_t, product = stacked
        sample = _SIZE["uniform"] ** (x.ndim - 2)
        correction = sample / (sample - 1) if self.window == "uniform" else 1.0
        return (
            mean_x,
            mean_t,
            (square_x - mean_x.square()) * correction,
            (square_t - mean_t.square()) * correction,
            (product - mean_x * mean_t) * correction,
        )

    def _weights(self) -> list[float]:
        size = _SIZE[self.window]
        if self.window == "uniform":
            return [1 / size] * size
        weights = [math.exp(-0.5 * ((i - size // 2) / _SIGMA) ** 2) for i in range(size)]
        return [w / sum(weights) for w in weights]


def _windowed(maps: Tensor, weights: list[float], axes: int) -> Tensor:
    """Weighted window means along the last `axes` axes, without padding.

    Shifted sums: torch has no fast convolution in double precision.
    """
    for axis in range(maps.ndim - axes, maps.ndim):
        length = maps.shape[axis] - len(weights) + 1
        total = maps.narrow(axis, 0, length) * weights[0]
        for shift, weight in enumerate(weights[1:], start=1):
            total.add_(maps.narrow(axis, shift, length), alpha=weight)
        maps = total
    return maps
