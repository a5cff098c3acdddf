"""The stability section of a report: curve, table and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from .chart import colours_of, line_chart
from .gallery import shown_of
from .picture import Picture, image_values, window_of
from .table import number, quantity

if TYPE_CHECKING:
    from torch import Tensor

    from ..stability import Disturbed, StabilityRow


def stability_section(
    rows: Sequence[StabilityRow], worst: Mapping[str, Disturbed], clean: Mapping[str, Tensor]
) -> tuple[str, str]:
    """Title and HTML: change of the image over the size of the error, and the worst images found."""
    first = rows[0].sample
    solvers = list(dict.fromkeys(row.solver for row in rows))
    curves, colours = {}, {}
    for solver, colour in colours_of(solvers).items():
        own = [row for row in rows if row.solver == solver and row.sample == first]
        curves[f"{solver}, worst"] = [(row.level, row.worst) for row in own]
        curves[f"{solver}, random"] = [(row.level, row.random) for row in own]
        colours |= {f"{solver}, worst": colour, f"{solver}, random": colour + "66"}
    chart = line_chart(curves, "relative error of the measurement", "relative change of the image", colours)
    legend = "".join(
        f'<span><span class="dot" style="background:{colours[name]}"></span>{escape(name)}</span>' for name in curves
    )
    text = (
        '<p class="note">How far an error e of the measurement moves the reconstruction: '
        "‖Φ(y + e) − Φ(y)‖ / ‖Φ(y)‖ over ‖e‖ / ‖y‖, for random errors and for the worst one that was found "
        "(a lower bound on the worst there is).</p>"
    )
    body = f'{text}<div class="legend">{legend}</div>{chart}{_table(rows)}{_pictures(worst, clean)}'
    return "Stability", body


def _table(rows: Sequence[StabilityRow]) -> str:
    metric = next(iter(rows[0].metrics_worst), None)
    heads = ["solver", "sample", "error", "change, random", "change, worst", "gain, worst"]
    if metric:
        heads += [f"{quantity(metric)}, random", f"{quantity(metric)}, worst"]
    lines = []
    for row in rows:
        cells = [
            escape(row.solver),
            escape(row.sample),
            f"{row.level:.3g}",
            f"{row.random:.3g}",
            f"{row.worst:.3g}",
        ]
        cells.append(f"{row.worst_gain:.3g}")
        if metric:
            cells += [number(metric, row.metrics_random[metric]), number(metric, row.metrics_worst[metric])]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _pictures(worst: Mapping[str, Disturbed], clean: Mapping[str, Tensor]) -> str:
    """Each solver's image from the clean and from the worst measurement of the largest level."""
    figures = []
    window = window_of(image_values(next(iter(clean.values()))))
    for solver, disturbed in worst.items():
        pair = (
            (f"{solver}", "clean measurement", clean[solver]),
            (f"{solver}", "worst error", disturbed.image),
        )
        for title, caption, image in pair:
            shown = shown_of(Picture(image_values(image), window))
            sharp = ' class="sharp"' if shown.sharp else ""
            figures.append(
                f"<figure><figcaption><b>{escape(title)}</b><span>{caption}</span></figcaption>"
                f'<div class="frame" style="aspect-ratio:{shown.ratio}"><img src="{shown.uri}"{sharp} '
                f'alt="{escape(title)}, {caption}"></div></figure>'
            )
    columns = min(max(len(figures), 3), 6)
    return f'<div class="cards" style="--columns:{columns};margin-top:26px">{Markup("".join(figures))}</div>'
