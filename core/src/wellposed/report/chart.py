"""Line charts as inline SVG: crisp at every zoom, a few kilobytes, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Curve = Sequence[tuple[float, float]]

#: Colours of curves, told apart by colour-blind readers too (Okabe and Ito 2008, black and yellow replaced).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b4fb3", "#7a5230")

_WIDTH, _HEIGHT = 470, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 14, 44
_POINTS, _START = 400, 60


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic scale from data to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            if last - first < 2:
                ticks = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
                return [t for t in ticks if self.low <= t <= self.high]
            stride = math.ceil((last - first + 1) / 7)
            return [10.0**k for k in range(first, last + 1, stride)]
        step = _round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def line_chart(curves: Mapping[str, Curve], x_label: str, y_label: str, colours: Mapping[str, str]) -> Markup:
    """An SVG of named curves; the vertical axis is logarithmic where the data are positive and span a decade."""
    drawn = {name: _thinned([p for p in curve if all(map(math.isfinite, p))]) for name, curve in curves.items()}
    drawn = {name: curve for name, curve in drawn.items() if curve}
    if not drawn:
        return Markup("")
    x_axis, y_axis = _axes([point for curve in drawn.values() for point in curve])
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(y_label)}">',
        *_grid(x_axis, y_axis),
        *(_path(curve, x_axis, y_axis, colours.get(name, COLOURS[0])) for name, curve in drawn.items()),
        f'<text class="label" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
        "</svg>",
    ]
    return Markup("".join(parts))


def colours_of(names: Sequence[str]) -> dict[str, str]:
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def _axes(points: list[tuple[float, float]]) -> tuple[Axis, Axis]:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    log_y = min(ys) > 0 and max(ys) >= 10 * min(ys)
    log_x = min(xs) > 0 and max(xs) >= 300 * min(xs)
    low, high = _padded(min(ys), max(ys), log_y)
    x_axis = Axis(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, _LEFT, _WIDTH - _RIGHT, log_x)
    return x_axis, Axis(low, high, _HEIGHT - _BOTTOM, _TOP, log_y)


def _padded(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        factor = (high / low) ** 0.05
        return low / factor, high * factor
    pad = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    return low - pad, high + pad


def _grid(x_axis: Axis, y_axis: Axis) -> list[str]:
    parts = []
    for tick in y_axis.ticks():
        y = y_axis(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick, y_axis.log)}</text>')
    for tick in x_axis.ticks():
        x = x_axis(tick)
        parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - 39}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 26}" text-anchor="middle">{_number(tick, x_axis.log)}</text>')
    base = _HEIGHT - _BOTTOM
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
    return parts


def _path(curve: Curve, x_axis: Axis, y_axis: Axis, colour: str) -> str:
    points = " ".join(f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in curve)
    if len(curve) == 1:
        x, y = points.split(",")
        return f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>'
    return f'<polyline class="curve" points="{points}" stroke="{colour}"/>'


def _thinned(curve: Curve) -> Curve:
    """At most a few hundred points, evenly spread and all of the first: more than a screen shows is of no use."""
    if len(curve) <= _POINTS:
        return curve
    stride = -(-len(curve) // _POINTS)
    return [*curve[:_START], *curve[_START:-1:stride], curve[-1]]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)


def _number(value: float, log: bool) -> str:
    if log:
        exponent = math.floor(math.log10(value) + 1e-9)
        if -3 <= exponent <= 4:
            return f"{value:g}"
        mantissa = round(value / 10.0**exponent)
        lead = "" if mantissa == 1 else f"{mantissa}·"
        return f'{lead}10<tspan class="power" dy="-5">{"−" if exponent < 0 else ""}{abs(exponent)}</tspan>'
    return f"{value:.6g}".replace("-", "−")
