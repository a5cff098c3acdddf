"""Errors relative to the truth; each convention has a name of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue
from wellposed.metric import Metric

from .checks import check_pair, data_ranges, energy, magnitudes, mean_square

#: An image that is wrong by 1 in one of four pixels, and the truth.
_ONE_OFF = ([[[[1.0, 2.0], [3.0, 4.0]]]], [[[[0.0, 2.0], [3.0, 4.0]]]])


class RelativeL2(Metric):
    """Relative error `‖x − t‖ / ‖t‖`, one number per image; complex images by their complex difference.

    scikit-image calls it the `euclidean` normalised root mean square error. Raises `InputError` where the
    truth is 0 everywhere.
    """

    source = "the relative error in the ℓ² norm"
    better = "lower"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(_ONE_OFF, [29**-0.5]),)

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return _relative_energy(x, truth, self).sqrt()


class NMSE(Metric):
    """Normalised mean square error `‖x − t‖² / ‖t‖²`, one number per image; complex images by their complex difference.

    The convention of fastMRI. Raises `InputError` where the truth is 0 everywhere.
    """

    source = "Zbontar et al. 2018, fastMRI, arXiv:1811.08839 (NMSE)"
    better = "lower"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(_ONE_OFF, [1 / 29]),)

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return _relative_energy(x, truth, self)


class NMSEdB(Metric):
    """Normalised mean square error in decibels, `10 log₁₀(‖x − t‖² / ‖t‖²)`, one number per image.

    That of many images is the ratio of sums, `10 log₁₀(Σ‖x − t‖² / Σ‖t‖²)`, the convention of sparse coding: an
    image counts by its energy. Identical images have −∞ dB. Raises `InputError` where the truth is 0 everywhere.
    """

    source = "Chen, Liu, Wang & Yin 2018, arXiv:1808.10038, section 4 (NMSE in dB)"
    better = "lower"
    unit = "dB"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(_ONE_OFF, [-10 * math.log10(29)]),)

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return 10 * _relative_energy(x, truth, self).log10()

    def weight(self, truth: Tensor) -> Tensor:
        return energy(truth)

    def pooled(self, values: Sequence[float], weights: Sequence[float]) -> float:
        error = sum(10 ** (v / 10) * w for v, w in zip(values, weights, strict=True))
        return 10 * math.log10(error / sum(weights)) if error > 0 else -math.inf


class NRMSE(Metric):
    """Root mean square error over the truth's range, `(mean|x − t|²)^½ / (max t − min t)`, one number per image.

    Complex images are compared by magnitude. Raises `InputError` where the truth is constant.
    """

    source = "the root mean square error over the range of the truth (scikit-image: normalization='min-max')"
    better = "lower"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(_ONE_OFF, [0.5 / 4]),)

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        check_pair(x, truth, self)
        x, truth = magnitudes(x), magnitudes(truth)
        return mean_square(x - truth).sqrt() / data_ranges(truth, None, self)


def _relative_energy(x: Tensor, truth: Tensor, metric: Metric) -> Tensor:
    check_pair(x, truth, metric)
    whole = energy(truth)
    if bool((whole == 0).any()):
        index = int((whole == 0).nonzero()[0])
        raise InputError(f"{type(metric).__name__}: the true image {index} is 0 everywhere, no error is relative to it")
    return energy(x - truth) / whole
