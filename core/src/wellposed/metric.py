"""Metrics: one number per image, with the convention in the name and the docstring."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .interface import Component


class Metric(Component):
    """`metric(x, truth) → (B,)`; `better` says whether higher or lower is better, `unit` what it is in.

    The metric of many images is the mean of theirs, each with the same weight, unless `weight` and `pooled` say more.
    """

    better: str = "higher"
    unit: str = ""

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        raise NotImplementedError

    def weight(self, truth: Tensor) -> Tensor:
        """What each image counts for among many, `(B,)`."""
        return torch.ones(len(truth), device=truth.device)

    def pooled(self, values: Sequence[float], weights: Sequence[float]) -> float:
        """The metric of many images, from the value and the weight of each."""
        return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
