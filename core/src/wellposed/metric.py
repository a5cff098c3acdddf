"""Metrics: one number per image, with the convention in the name and the docstring."""

from __future__ import annotations

from torch import Tensor

from .interface import Component


class Metric(Component):
    """`metric(x, truth) → (B,)`; `better` says whether higher or lower is better, `unit` what it is in."""

    better: str = "higher"
    unit: str = ""

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        raise NotImplementedError
