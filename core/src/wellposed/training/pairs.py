"""Losses and metrics of a solver over pairs of image and measurement."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ..metric import Metric
from ..solution import Solution
from ..solver import Iterative, Solver
from ..stopping import Rule
from .batch import Batch


def losses(solver: Solver, loss: Metric, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Means over the samples: `loss` of `loss(f(y), x)` with what the solver itself adds to it.

    Of a solver with stopping rules also `iterations`, the share `converged`, and the last value of each rule.
    """
    count = sum(len(batch.truth) for batch in batches)
    parts, figures = [], []
    for batch in batches:
        solution = solver.attempt(batch.measurement, batch.operator)
        each = loss(*comparable(solution.x, batch.truth))
        parts.append((each if solution.penalty is None else each + solution.penalty).sum())
        figures.append(_figures(solver, solution))
    found = {"loss": torch.stack(parts).sum() / count}
    for name in figures[0]:
        values = torch.tensor([value for of_batch in figures for value in of_batch[name]])
        found[name] = values.nanmean().to(found["loss"].device)
    return found


def comparable(x: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the precision of the truth, and both complex where one is: an imaginary part is an error, too."""
    dtype = truth.dtype.to_complex() if x.is_complex() else truth.dtype
    return x.to(dtype), truth.to(dtype)


def _figures(solver: Solver, solution: Solution) -> dict[str, list[float]]:
    """How the solve of each sample ended; the same names whatever it was."""
    rules = solver.stop.rules if isinstance(solver, Iterative) else ()
    if not len(rules):
        return {}
    found = {
        "iterations": [float(count) for count in solution.iterations],
        "converged": [float(verdict.ok) for verdict in solution.verdict],
    }
    for rule in rules:
        assert isinstance(rule, Rule)
        records = [values for _, values in solution.history.get(rule.name, ())]
        found[rule.name] = [_last(values) for values in zip(*records, strict=True)] or [math.nan]
    return found


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if not math.isnan(value)), math.nan)


def metric_sums(solver: Solver, metrics: Sequence[Metric], batches: Sequence[Batch]) -> Tensor:
    """The sum over the samples of each metric, `(len(metrics),)` in double precision."""
    total = torch.zeros(len(metrics), dtype=torch.float64, device=batches[0].truth.device)
    for batch in batches:
        x = solver(batch.measurement, batch.operator)
        pair = comparable(x, batch.truth)
        total += torch.stack([m(*pair).sum().double() for m in metrics])
    return total


def metric_name(metric: Metric) -> str:
    """A metric's class name as a recipe would write it: `MeanSquaredError` → `mean-squared-error`, `PSNR` → `psnr`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(metric).__name__).lower()
