"""One picture of a run for papers and front pages: truth and reconstructions, each with its zoom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.atomic import atomic
from .picture import Picture, image_values, region_within, shared_window, telling_region
from .table import number

if TYPE_CHECKING:
    from ..experiment import Results, SampleResult
    from ..recipes import Display

_INCHES, _DPI = 2.4, 150
_MOST = 8


def save_overview(path: Path, results: Results, sample: SampleResult, display: Display) -> None:
    """Write truth and reconstructions of a sample side by side in one grey window, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = {row.solver: _title(row.solver, row.metrics) for row in results.rows if row.sample == sample.name}
    truth = None if sample.truth is None else image_values(sample.truth)
    images = [] if truth is None else [("truth", truth)]
    images += [(titles.get(label, label), image_values(x)) for label, x in sample.reconstructions.items()]
    images = images[:_MOST]
    leading = images[0][1]
    window = display.window or shared_window(truth, (values for _, values in images))
    box = region_within(display.zoom, leading) if display.zoom else telling_region(leading)
    columns = len(images) if len(images) <= 5 else 4
    rows = -(-len(images) // columns)
    height = _INCHES * leading.shape[0] / leading.shape[1]
    figure = Figure(figsize=(_INCHES * columns, (height + 0.42) * rows), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)  # type: ignore[union-attr]
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, (title, values) in zip(axes, images, strict=False):
        _draw(axis, title, Picture(values, window, display.colormap), box)
    for axis in list(figure.axes)[len(images) :]:
        axis.set_axis_off()
    with atomic(path) as stream:
        figure.savefig(stream, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.05)


def _draw(axis: Any, title: str, picture: Picture, box: tuple[int, int, int, int]) -> None:
    low, high = picture.window
    style = {"cmap": _known(picture.colormap), "vmin": low, "vmax": high, "interpolation": "nearest"}
    axis.imshow(_shown(picture), **style)
    axis.set_title(title, fontsize=9, pad=4)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    inset = axis.inset_axes(_opposite_corner(picture, box))
    inset.imshow(_shown(picture.crop(box)), **style)
    inset.set_xticks([])
    inset.set_yticks([])
    inset.spines[:].set_color("#ffcf33")
    from matplotlib.patches import Rectangle

    row, column, height, width = box
    axis.add_patch(Rectangle((column - 0.5, row - 0.5), width, height, fill=False, color="#ffcf33", linewidth=0.8))


def _opposite_corner(picture: Picture, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    """Where the inset hides the zoomed region least: the corner across from it, as shares of the picture."""
    row, column, height, width = box
    share = 0.36
    tall = min(share * picture.width / picture.height * height / width, 0.5)
    left = 0.0 if column + width / 2 > picture.width / 2 else 1.0 - share
    bottom = 0.0 if row + height / 2 < picture.height / 2 else 1.0 - tall
    return left, bottom, share, tall


def _shown(picture: Picture) -> Any:
    """Colour images are scaled to the window here; for grey ones matplotlib does it."""
    if picture.values.ndim == 2:
        return picture.values
    low, high = picture.window
    return ((picture.values - low) / (high - low)).clip(0, 1)


def _known(colormap: str) -> str:
    import matplotlib

    return colormap if colormap in matplotlib.colormaps else "gray"


def _title(solver: str, metrics: dict[str, float]) -> str:
    if "psnr" in metrics:
        return f"{solver}\n{number('psnr', metrics['psnr'])} dB"
    first = next(iter(metrics), None)
    return solver if first is None else f"{solver}\n{first} {number(first, metrics[first])}"
