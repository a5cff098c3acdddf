"""Agreement of segmentations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.interface import KnownValue
from wellposed.metric import Metric

from .checks import check_pair, magnitudes

_BINS = 256


class Matthews(Metric):
    """Matthews' correlation of the thresholded image with a two-valued truth, −1 to 1, one per image.

    `(TP·TN − FP·FN) / ((TP + FP)(TP + FN)(TN + FP)(TN + FN))^½`, and 0 where a factor below is 0; the score
    of the Helsinki Tomography Challenge 2022. `threshold` is a number (pixels above it are material), or
    `otsu`: of each image the one that separates its histogram of 256 bins best. Complex images by magnitude.

    Raises `ShapeError` for images of different shapes, `InputError` where the truth has more than two values.
    """

    source = "Matthews 1975, Biochim. Biophys. Acta 405:442; Otsu 1979, IEEE Trans. SMC 9:62"
    better = "higher"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"threshold": 0.5})

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        # One true and one false hit, two true rejections.
        x, truth = [[[[0.9, 0.2], [0.7, 0.1]]]], [[[[1.0, 0.0], [0.0, 0.0]]]]
        return (KnownValue((x, truth), [2 / 12**0.5], {"threshold": 0.5}), KnownValue((x, truth), [2 / 12**0.5]))

    def __init__(self, threshold: Literal["otsu"] | float = "otsu") -> None:
        if isinstance(threshold, str) and threshold != "otsu":
            raise InputError(f"threshold is a number or 'otsu'; {threshold!r} was given")
        self.threshold = threshold

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        check_pair(x, truth, self)
        flat, true = magnitudes(x).flatten(1), _binary(magnitudes(truth).flatten(1))
        level = otsu(flat)[:, None] if isinstance(self.threshold, str) else self.threshold
        found = flat > level
        tp, tn = (found & true).sum(1).double(), (~found & ~true).sum(1).double()
        fp, fn = (found & ~true).sum(1).double(), (~found & true).sum(1).double()
        below = ((tp + fp) * (tp + fn)).sqrt() * ((tn + fp) * (tn + fn)).sqrt()
        return torch.where(below > 0, (tp * tn - fp * fn) / below.clamp_min(1), 0.0)


def otsu(flat: Tensor) -> Tensor:
    """Otsu's threshold of each row of `(B, n)`: the bin centre that maximises the variance between classes."""
    low, high = flat.amin(1, keepdim=True).double(), flat.amax(1, keepdim=True).double()
    width = (high - low).clamp_min(torch.finfo(torch.float64).tiny) / _BINS
    index = ((flat - low) / width).long().clamp_(0, _BINS - 1)
    counts = torch.zeros(len(flat), _BINS, dtype=torch.float64, device=flat.device)
    counts.scatter_add_(1, index, torch.ones_like(index, dtype=torch.float64))
    centres = low + (torch.arange(_BINS, dtype=torch.float64, device=flat.device) + 0.5) * width
    mass, moment = counts.cumsum(1), (counts * centres).cumsum(1)
    rest, rest_moment = mass[:, -1:] - mass, moment[:, -1:] - moment
    means = moment / mass.clamp_min(1), rest_moment / rest.clamp_min(1)
    between = (mass * rest * (means[0] - means[1]).square())[:, :-1]
    return centres.gather(1, between.argmax(1, keepdim=True))[:, 0]


def _binary(truth: Tensor) -> Tensor:
    """Where the truth is the larger of its two values, or its only one above 0; raises where there is a third."""
    low, high = truth.amin(1, keepdim=True), truth.amax(1, keepdim=True)
    if not bool(((truth == low) | (truth == high)).all()):
        raise InputError("Matthews compares with a segmentation; the truth has more than two different values")
    return torch.where(high > low, truth == high, truth > 0)
