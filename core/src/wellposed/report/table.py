"""The table of results: headings, numbers with the digits worth reading, the best of each metric, bad verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..experiment import Results

#: How quantities are written: heading, and digits behind the point.
_QUANTITIES = {
    "psnr": ("PSNR [dB]", 2),
    "ssim": ("SSIM", 3),
    "seconds": ("seconds", 2),
    "iterations": ("iterations", 0),
}


@dataclass(frozen=True)
class Cell:
    """One number of the table; `best` of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One solver's line of the table."""

    solver: str
    colour: str
    cells: list[Cell]
    verdict: str
    ok: bool


@dataclass(frozen=True)
class BadVerdict:
    """A solver that did not end well: on which samples, and what to do."""

    solver: str
    verdict: str
    samples: str
    advice: str


def quantity(name: str) -> str:
    """The heading of a metric or cost."""
    return _QUANTITIES[name][0] if name in _QUANTITIES else name.replace("_", " ").replace("-", " ")


def number(name: str, value: float | None) -> str:
    """A metric or cost as text, with the digits that are worth reading."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if name in _QUANTITIES:
        text = f"{value:.{_QUANTITIES[name][1]}f}"
        return text if float(text) or value == 0 or name != "seconds" else f"{value:.1g}"
    return f"{value:#.4g}".removesuffix(".") if 1e-4 <= abs(value) < 1e4 or value == 0 else f"{value:.3e}"


def mean_and_spread(name: str, entry: Mapping[str, Any]) -> str:
    """A metric of a summary as text, with `± spread` where it is over several samples."""
    text, spread = number(name, entry.get(name)), entry.get(f"{name}_std")
    if spread is None:
        return text
    return f"{text} ± {number(name, spread) if name in _QUANTITIES else f'{spread:.2g}'}"


def best_solvers(results: Results) -> dict[str, set[str]]:
    """Metric → solvers whose mean is the best, among at least two that differ; all of them over the same samples."""
    best = {}
    failed = {each.solver for each in results.failures}
    summary = [entry for entry in results.summary() if entry["solver"] not in failed]
    for metric, better in results.metrics.items():
        values = {e["solver"]: e[metric] for e in summary if metric in e and not math.isnan(e[metric])}
        if len(values) > 1 and len(set(values.values())) > 1:
            top = (max if better == "higher" else min)(values.values())
            best[metric] = {solver for solver, value in values.items() if value == top}
    return best


def headings(results: Results) -> list[tuple[str, str]]:
    arrows = {"higher": "↑", "lower": "↓"}
    metrics = [(quantity(m), arrows.get(better, "")) for m, better in results.metrics.items() if _measured(results, m)]
    return [*metrics, ("seconds", ""), ("iterations", "")]


def _measured(results: Results, metric: str) -> bool:
    return any(metric in row.metrics for row in results.rows)


def lines(results: Results, colours: Mapping[str, str]) -> list[Line]:
    best = best_solvers(results)
    found = []
    for entry in results.summary():
        solver = entry["solver"]
        cells = []
        for metric in results.metrics:
            if not _measured(results, metric):
                continue
            cells.append(Cell(mean_and_spread(metric, entry), solver in best.get(metric, ())))
        cells += [Cell(number(cost, float(entry[cost]))) for cost in ("seconds", "iterations")]
        ok = all(row.verdict.ok for row in results.of(solver))
        found.append(Line(solver, colours[solver], cells, entry["verdict"].replace("_", " "), ok))
    width = len(headings(results))
    found += [Line(s, "transparent", [Cell("–")] * width, "failed", False) for s in results.failed_solvers]
    return found


def bad_verdicts(results: Results) -> list[BadVerdict]:
    failed: dict[tuple[str, Any], list[str]] = {}
    for row in results.rows:
        if not row.verdict.ok:
            failed.setdefault((row.solver, row.verdict), []).append(row.sample)
    return [
        BadVerdict(solver, verdict.name.lower().replace("_", " "), _few(samples), _sentence(verdict.value))
        for (solver, verdict), samples in failed.items()
    ]


def failures(results: Results) -> list[BadVerdict]:
    """The solvers that raised, with what they said."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in results.failures:
        found.setdefault((each.solver, each.reason), []).append(each.sample)
    return [BadVerdict(solver, "failed", _few(samples), reason) for (solver, reason), samples in found.items()]


def _few(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
