"""The report page: what the template shows, gathered from the results of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from markupsafe import Markup

from .chart import colours_of, line_chart
from .gallery import SampleView, view_sample
from .table import bad_verdicts, failures, headings, lines, number, quantity

if TYPE_CHECKING:
    from ..experiment import Results
    from ..recipes import Recipe

#: Samples whose pictures are on the page; the table is over all of them.
PICTURED_SAMPLES = 6

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
    many = max((entry["samples"] for entry in results.summary()), default=1)
    return _template().render(
        page=page,
        headings=headings(results),
        lines=lines(results, colours),
        many=many,
        warnings=[*bad_verdicts(results), *failures(results)],
        failures=results.left_out,
        samples=[_view(sample, results, page.recipe) for sample in pictured],
        not_pictured=many - len(pictured),
        charts=_charts(results, colours),
        sections=[(title, Markup(html)) for title, html in page.sections],
        recipe_text=yaml.safe_dump(page.recipe.document(), sort_keys=False, allow_unicode=True, width=100),
    )


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
