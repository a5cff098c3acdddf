"""What an experiment found: one row per solver and sample, and the images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ..solution import Verdict

History = dict[str, list[tuple[int, float]]]
Pool = Callable[[Sequence[float], Sequence[float]], float]


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
    #: What the sample counts for in each metric of many; 1 where nothing else is said.
    weights: dict[str, float] = field(default_factory=dict)

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


@dataclass(frozen=True)
class LeftOut:
    """A sample that could not be read; no solver has a row of it."""

    sample: str
    reason: str


@dataclass(frozen=True)
class Failure:
    """A solver that raised on a sample; the rows of the other solvers are there."""

    solver: str
    sample: str
    reason: str


@dataclass
class Results:
    """All rows, and the samples whose images were kept; `metrics` are the recipe's names, with what is better.

    `pools` make the metric of many samples from values and weights; by default it is the mean. `left_out` are
    the samples that could not be read, `failures` the solvers that raised, with the sample, `estimated` the arguments
    that the dataset found in its data.
    """

    rows: list[Row]
    samples: list[SampleResult]
    metrics: dict[str, str]
    pools: dict[str, Pool] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    estimated: dict[str, float] = field(default_factory=dict)

    @property
    def solvers(self) -> list[str]:
        return list(dict.fromkeys(row.solver for row in self.rows))

    @property
    def failed_solvers(self) -> list[str]:
        """The solvers that failed on every sample, and so have no row."""
        return [solver for solver in dict.fromkeys(f.solver for f in self.failures) if solver not in self.solvers]

    def of(self, solver: str) -> list[Row]:
        return [row for row in self.rows if row.solver == solver]

    def summary(self) -> list[dict[str, Any]]:
        """Per solver: mean and spread (`_std`, sample standard deviation) of each metric, cost, worst verdict."""
        return [self._summary_of(solver) for solver in self.solvers]

    def document(self) -> dict[str, Any]:
        """`{"results": [...], "rows": [...]}` as plain data, with what was lost and what was estimated, if anything."""
        lost = {"left_out": self.left_out, "failures": self.failures}
        said: dict[str, Any] = {name: [asdict(each) for each in found] for name, found in lost.items() if found}
        if self.estimated:
            said["estimated"] = self.estimated
        return {"results": self.summary(), "rows": [row.document() for row in self.rows], **said}

    def _summary_of(self, solver: str) -> dict[str, Any]:
        rows = self.of(solver)
        entry: dict[str, Any] = {"solver": solver}
        for metric in self.metrics:
            measured = [row for row in rows if metric in row.metrics]
            values = [row.metrics[metric] for row in measured]
            if values:
                weights = [row.weights.get(metric, 1.0) for row in measured]
                entry[metric] = (
                    self.pools[metric](values, weights) if metric in self.pools else statistics.fmean(values)
                )
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
