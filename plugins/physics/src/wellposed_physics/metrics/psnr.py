"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.interface import KnownValue
from wellposed.metric import Metric

from .checks import check_data_range, check_pair, data_ranges, magnitudes, mean_square


class PSNR(Metric):
    """Peak signal-to-noise ratio, `10 log₁₀(R² / MSE)` in dB, one number per image.

    The mean is over channels and pixels. `R = data_range`, or with `data_range: null` the `max − min` of each
    true image. It is not the maximum, and not the range of the reconstruction. Complex images are compared by
    magnitude. Identical images have infinite PSNR. Raises `ShapeError` for images of different shapes, and
    `InputError` for a constant truth without a stated range.
    """

    source = "Huynh-Thu & Ghanbari 2008, Electron. Lett. 44:800"
    better = "higher"
    unit = "dB"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        x, truth = [[[[1.0, 2.0], [3.0, 4.0]]]], [[[[0.0, 2.0], [3.0, 4.0]]]]
        return (
            KnownValue((x, truth), [10 * math.log10(4**2 / 0.25)]),
            KnownValue((x, truth), [10 * math.log10(1 / 0.25)], {"data_range": 1.0}),
        )

    def __init__(self, data_range: float | None = None) -> None:
        check_data_range(data_range, self)
        self.data_range = data_range

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        check_pair(x, truth, self)
        x, truth = magnitudes(x), magnitudes(truth)
        ranges = data_ranges(truth, self.data_range, self)
        return 10 * torch.log10(ranges.square() / mean_square(x - truth))
