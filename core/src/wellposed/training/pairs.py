"""Losses and metrics of a solver over pairs of image and measurement."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ..metric import Metric
from ..solver import Solver
from .batch import Batch


def mean_loss(solver: Solver, loss: Metric, batches: Sequence[Batch]) -> Tensor:
    """The mean over the samples of `loss(f(y), x)`, with what the solver itself adds to it."""
    parts = []
    for batch in batches:
        x, penalty = solver.with_penalty(batch.measurement, batch.operator)
        each = loss(x.to(batch.truth.dtype), batch.truth)
        parts.append((each if penalty is None else each + penalty).sum())
    return torch.stack(parts).sum() / sum(len(batch.truth) for batch in batches)


def metric_sums(solver: Solver, metrics: Sequence[Metric], batches: Sequence[Batch]) -> Tensor:
    """The sum over the samples of each metric, `(len(metrics),)` in double precision."""
    total = torch.zeros(len(metrics), dtype=torch.float64, device=batches[0].truth.device)
    for batch in batches:
        x = solver(batch.measurement, batch.operator)
        total += torch.stack([m(x, batch.truth).sum().double() for m in metrics])
    return total


def metric_name(metric: Metric) -> str:
    """A metric's class name as a recipe would write it: `MeanSquaredError` → `mean-squared-error`, `PSNR` → `psnr`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(metric).__name__).lower()
