"""What an experiment found: one row per solver and sample, and the images."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..solution import Verdict

History = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Row:
    """One reconstruction: its metrics, cost and verdict. `seconds` is wall time of solving alone."""

    solver: str
    sample: str
    metrics: dict[str, float]
    seconds: float
    iterations: int
    verdict: Verdict
    bound: float | None = None
    history: History = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The row as plain data, without its history."""
        bound = {} if self.bound is None else {"bound": self.bound}
        return {
            "solver": self.solver,
            "sample": self.sample,
            **self.metrics,
            "seconds": self.seconds,
            "iterations": self.iterations,
            "verdict": self.verdict.name.lower(),
            **bound,
        }


@dataclass
class SampleResult:
    """One sample: images `(C, *spatial)` on the CPU, the measurement, and each solver's reconstruction."""

    name: str
    truth: Tensor | None
    measurement: Tensor
    reconstructions: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Results:
    """All rows and samples; `metrics` are the names in the order of the recipe, with what is better."""

    rows: list[Row]
    samples: list[SampleResult]
    metrics: dict[str, str]

    @property
    def solvers(self) -> list[str]:
        return list(dict.fromkeys(row.solver for row in self.rows))

    def of(self, solver: str) -> list[Row]:
        return [row for row in self.rows if row.solver == solver]

    def summary(self) -> list[dict[str, Any]]:
        """Per solver: mean and spread (`_std`, sample standard deviation) of each metric, cost, worst verdict."""
        return [self._summary_of(solver) for solver in self.solvers]

    def document(self) -> dict[str, Any]:
        """`{"results": [...], "rows": [...]}` as plain data."""
        return {"results": self.summary(), "rows": [row.document() for row in self.rows]}

    def _summary_of(self, solver: str) -> dict[str, Any]:
        rows = self.of(solver)
        entry: dict[str, Any] = {"solver": solver}
        for metric in self.metrics:
            values = [row.metrics[metric] for row in rows if metric in row.metrics]
            if values:
                entry[metric] = statistics.fmean(values)
            if len(values) > 1:
                entry[f"{metric}_std"] = _spread(values)
        entry["seconds"] = statistics.fmean(row.seconds for row in rows)
        entry["iterations"] = round(statistics.fmean(row.iterations for row in rows))
        failed = [row.verdict for row in rows if not row.verdict.ok]
        entry["verdict"] = (failed or [rows[0].verdict])[0].name.lower()
        entry["samples"] = len(rows)
        return entry


def _spread(values: list[float]) -> float:
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan
