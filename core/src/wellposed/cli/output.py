"""Printing: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ..plain_text import visible
from .terminal import unguarded

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..experiment import Results


def console(stderr: bool = False) -> Console:
    """A console that colours on terminals only, and nothing by guessing."""
    from .visible_console import VisibleConsole

    stream = unguarded(sys.stderr if stderr else sys.stdout)
    return VisibleConsole(file=stream, stderr=stderr, highlight=False, emoji=False)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """A plain table; the headings in `right` are of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        made.add_column(Text(heading), justify="right" if heading in right else "left")
    return made


def print_json(value: Any) -> None:
    from ..runs.json_text import json_text

    say(json_text(value))


def note(text: str) -> None:
    """A sentence on stderr."""
    say(text, err=True)


@dataclass(frozen=True)
class Styled:
    """A piece of a line with its looks, which terminals alone show."""

    text: str
    colour: str | None = None
    bold: bool | None = None
    dim: bool | None = None


def say(*parts: str | Styled, err: bool = False) -> None:
    """A line on standard output or standard error, its control characters spelt out."""
    line = "".join(_shown(part) for part in parts)
    typer.echo(line, file=unguarded(sys.stderr if err else sys.stdout))


def _shown(part: str | Styled) -> str:
    if isinstance(part, str):
        return visible(part)
    return typer.style(visible(part.text), part.colour, bold=part.bold, dim=part.dim)


def print_results(results: Results) -> None:
    """The table of an experiment, the best of each metric in bold, and a sentence for each bad verdict and failure."""
    from rich.text import Text

    from ..report.table import bad_verdicts, best_solvers, failures, mean_and_spread, number, quantity

    summary, best = results.summary(), best_solvers(results)
    metrics = [m for m in results.metrics if any(m in entry for entry in summary)]
    headings = [quantity(m) for m in metrics]
    made = table("solver", *headings, "seconds", "iterations", "verdict", right=(*headings, "seconds", "iterations"))
    made.columns[0].overflow = "fold"
    for entry in summary:
        cells = []
        for metric in metrics:
            style = "bold" if entry["solver"] in best.get(metric, ()) else ""
            cells.append(Text(mean_and_spread(metric, entry), style=style))
        costs = [number(cost, float(entry[cost])) for cost in ("seconds", "iterations")]
        made.add_row(Text(entry["solver"]), *cells, *costs, entry["verdict"].replace("_", " "))
    for solver in results.failed_solvers:
        made.add_row(Text(solver), *["–"] * (len(headings) + 2), "failed")
    console().print(made)
    for bad in bad_verdicts(results):
        note(f"{bad.solver}: {bad.verdict} ({bad.samples}). {bad.advice}")
    for each in results.left_out:
        note(f"{each.sample} is left out: {each.reason}")
    for failed in failures(results):
        note(f"{failed.solver}: failed ({failed.samples}). {failed.advice}")
