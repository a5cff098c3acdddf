"""Metrics over many images as mean ± spread."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from wellposed.errors import InputError


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation (0 for a single value), extremes and number of values."""

    mean: float
    std: float
    minimum: float
    maximum: float
    count: int

    def __str__(self) -> str:
        """`28.41 ± 0.32`, with digits to the second significant one of the spread."""
        if self.count == 1 or not math.isfinite(self.std) or self.std == 0:
            return f"{self.mean:.4g}"
        digits = max(0, 1 - math.floor(math.log10(self.std)))
        return f"{self.mean:.{digits}f} ± {self.std:.{digits}f}"


def summarize(values: Tensor | Iterable[float]) -> Summary:
    """The summary of one number per image; infinite and undefined values show in it and are not left out.

    Raises `InputError` where there are no values.
    """
    numbers = [float(v) for v in (values.flatten().tolist() if isinstance(values, Tensor) else values)]
    if not numbers:
        raise InputError("there are no values to summarize")
    count = len(numbers)
    mean = math.fsum(numbers) / count if all(map(math.isfinite, numbers)) else sum(numbers) / count
    spread = math.fsum((v - mean) ** 2 for v in numbers) / max(count - 1, 1) if math.isfinite(mean) else math.nan
    return Summary(mean, math.sqrt(spread), min(numbers), max(numbers), count)
