"""The supervised course: the loss of reconstructions of pairs, at a rate that falls by half a cosine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wellposed.dataset import Dataset
from wellposed.metric import Metric
from wellposed.solver import Solver
from wellposed.training import Batch, Course, load_batches, losses, metric_name, metric_sums, require


@dataclass(frozen=True)
class Rate:
    """Adam's numbers; raises `InputError` for those that make no training."""

    first: float
    final: float
    betas: tuple[float, float]

    def __post_init__(self) -> None:
        require(self.first > 0, "learning_rate", "positive", self.first)
        require(self.final >= 0, "final_learning_rate", "at least 0", self.final)
        require(all(0 <= b < 1 for b in self.betas), "betas", "in [0, 1)", self.betas)

    def of_step(self, step: int, steps: int) -> float:
        """The learning rate of step `step`, counted from 0; it would be `final` at step `steps`."""
        part = 0.5 * (1 + math.cos(math.pi * step / steps))
        return self.final + (self.first - self.final) * part

    def document(self) -> dict[str, Any]:
        return {"learning_rate": self.first, "final_learning_rate": self.final, "betas": list(self.betas)}


class Pairs(Course[list[Batch]]):
    """`mean loss(f_θ(y), x)`, with what the solver itself adds to it, over pairs of image `x` and measurement `y`."""

    def __init__(self, target: Solver, loss: Metric, metrics: Sequence[Metric], rate: Rate, steps: int) -> None:
        self.target, self.metrics, self.betas = target, metrics, rate.betas
        self.settings = {**rate.document(), "loss": metric_name(loss)}
        self.measures = [metric_name(m) for m in metrics]
        self._solver, self._loss, self._rate, self._steps = target, loss, rate, steps

    def rates(self, step: int) -> list[float]:
        return [self._rate.of_step(step, self._steps)]

    def prepare(self, data: Dataset) -> None:
        self._solver.prepare(data)

    def load(self, data: Dataset, indices: Sequence[int], device: torch.device) -> list[Batch]:
        return load_batches(data, indices, device)

    def loss(self, loaded: list[Batch], step: int) -> dict[str, Tensor]:
        return losses(self._solver, self._loss, loaded)

    def measure(self, loaded: list[Batch], step: int) -> Tensor:
        return metric_sums(self._solver, self.metrics, loaded)
