"""The training section of a report: its metrics over the steps."""

from __future__ import annotations

from pathlib import Path

from markupsafe import escape

from ..files.lines import json_lines
from .chart import Curve, colours_of, line_chart

#: What a training logs to steer it; the curves are of what it is after.
_STEERING = {"step", "gradient", "learning_rate"}


def training_section(log: Path) -> list[tuple[str, str]]:
    """Title and HTML: a chart for the losses and for each other metric in the JSON lines of `log`; none without."""
    curves = _curves(log)
    groups: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        groups.setdefault(name.removeprefix("validation "), {})[name] = curve
    charts = [_chart(quantity, own) for quantity, own in groups.items() if any(len(c) > 1 for c in own.values())]
    return [("Training", f'<div class="charts">{"".join(charts)}</div>')] if charts else []


def _chart(quantity: str, curves: dict[str, Curve]) -> str:
    colours = colours_of(list(curves))
    legend = "".join(
        f'<span><span class="dot" style="background:{colours[name]}"></span>{escape(name)}</span>' for name in curves
    )
    chart = line_chart(curves, "step", quantity, colours)
    title = escape(quantity[:1].upper() + quantity[1:])
    return f'<div><h3>{title}</h3><div class="legend">{legend}</div>{chart}</div>'


def _curves(log: Path) -> dict[str, Curve]:
    found: dict[str, list[tuple[float, float]]] = {}
    for values in json_lines(log):
        for name, value in values.items():
            if name not in _STEERING and isinstance(value, int | float):
                found.setdefault(name, []).append((float(values["step"]), float(value)))
    return dict(found)
