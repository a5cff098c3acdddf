"""The report page: what the template shows, gathered from the results of an experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from markupsafe import Markup

from .chart import colours_of, line_chart
from .gallery import SampleView, view_sample

if TYPE_CHECKING:
    from ..experiment import Results
    from ..recipes import Recipe

#: Samples whose pictures are on the page; the table is over all of them.
PICTURED_SAMPLES = 6

#: How quantities are written: heading, and digits behind the point.
_QUANTITIES = {"psnr": ("PSNR [dB]", 2), "ssim": ("SSIM", 3), "seconds": ("seconds", 2), "iterations": ("iterations", 0)}
_HISTORY = {
    "relative_change": "relative change",
    "relative_duality_gap": "relative duality gap",
    "fixed_point_residual": "fixed-point residual",
    "discrepancy": "residual norm",
    "error_bound": "certified bound on the distance to the solution",
    "objective": "objective",
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
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
class Warning:
    """A solver that did not end well: on which samples, and what to do."""

    solver: str
    verdict: str
    samples: str
    advice: str


@dataclass(frozen=True)
class Chart:
    title: str
    svg: Markup
    legend: list[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """What a page is made of besides the results: texts around them, and sections of plugins."""

    title: str
    recipe: Recipe
    environment: Mapping[str, Any]
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[tuple[str, str]] = field(default_factory=tuple)


def render(page: Page, results: Results) -> str:
    """The report as one HTML text that needs no other file and no network."""
    colours = colours_of(results.solvers)
    pictured = results.samples[:PICTURED_SAMPLES]
    return _template().render(
        page=page,
        headings=_headings(results),
        lines=_lines(results, colours),
        many=max((entry["samples"] for entry in results.summary()), default=1),
        warnings=_warnings(results),
        samples=[_view(sample, results, page.recipe) for sample in pictured],
        left_out=len(results.samples) - len(pictured),
        charts=_charts(results, colours),
        sections=[(title, Markup(html)) for title, html in page.sections],
        recipe_text=yaml.safe_dump(page.recipe.document(), sort_keys=False, allow_unicode=True, width=100),
    )


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
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.3e}"


def best_solvers(results: Results) -> dict[str, set[str]]:
    """Metric → solvers whose mean is the best, among at least two that differ."""
    best = {}
    summary = results.summary()
    for metric, better in results.metrics.items():
        values = {e["solver"]: e[metric] for e in summary if metric in e and not math.isnan(e[metric])}
        if len(values) > 1 and len(set(values.values())) > 1:
            top = (max if better == "higher" else min)(values.values())
            best[metric] = {solver for solver, value in values.items() if value == top}
    return best


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wellposed", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("template.html")


def _headings(results: Results) -> list[tuple[str, str]]:
    arrows = {"higher": "↑", "lower": "↓"}
    metrics = [(quantity(m), arrows.get(better, "")) for m, better in results.metrics.items() if _measured(results, m)]
    return [*metrics, ("seconds", ""), ("iterations", "")]


def _measured(results: Results, metric: str) -> bool:
    return any(metric in row.metrics for row in results.rows)


def _lines(results: Results, colours: Mapping[str, str]) -> list[Line]:
    best = best_solvers(results)
    lines = []
    for entry in results.summary():
        solver = entry["solver"]
        cells = []
        for metric in results.metrics:
            if not _measured(results, metric):
                continue
            text = number(metric, entry.get(metric))
            if f"{metric}_std" in entry:
                text += f" ± {number(metric, entry[f'{metric}_std'])}"
            cells.append(Cell(text, solver in best.get(metric, ())))
        cells += [Cell(number(cost, float(entry[cost]))) for cost in ("seconds", "iterations")]
        ok = all(row.verdict.ok for row in results.of(solver))
        lines.append(Line(solver, colours[solver], cells, entry["verdict"].replace("_", " "), ok))
    return lines


def _warnings(results: Results) -> list[Warning]:
    failed: dict[tuple[str, Any], list[str]] = {}
    for row in results.rows:
        if not row.verdict.ok:
            failed.setdefault((row.solver, row.verdict), []).append(row.sample)
    return [
        Warning(solver, verdict.name.lower().replace("_", " "), _few(samples), _sentence(verdict.value))
        for (solver, verdict), samples in failed.items()
    ]


def _few(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _view(sample: Any, results: Results, recipe: Recipe) -> SampleView:
    captions = {}
    for row in results.rows:
        if row.sample == sample.name:
            captions[row.solver] = " · ".join(_caption(name, value) for name, value in row.metrics.items())
    return view_sample(sample, captions, recipe.display)


def _caption(name: str, value: float) -> str:
    text = number(name, value)
    return f"{text} dB" if name == "psnr" else f"{name.upper() if name in ('ssim', 'nmse') else name} {text}"


def _charts(results: Results, colours: Mapping[str, str]) -> list[Chart]:
    """One chart for each quantity that was measured along the iterations, on the first sample."""
    if not results.samples:
        return []
    first = results.samples[0].name
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in results.rows:
        if row.sample == first:
            for name, records in row.history.items():
                curves.setdefault(name, {}).setdefault(row.solver, [(float(k), v) for k, v in records])
    charts = []
    for name, of_solver in curves.items():
        svg = line_chart(of_solver, "iteration", _HISTORY.get(name, quantity(name)), colours)
        if svg:
            title = _HISTORY.get(name, quantity(name))
            charts.append(Chart(title[:1].upper() + title[1:], svg, [(s, colours[s]) for s in of_solver]))
    return charts
