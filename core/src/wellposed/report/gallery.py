"""The pictures of one sample: truth, measurement, and each reconstruction with its zoom and error map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .picture import (
    DECADES,
    Picture,
    Window,
    image_values,
    measurement_values,
    palette,
    region_within,
    shared_window,
    telling_region,
    window_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ..experiment import SampleResult
    from ..recipes import Display

ERROR_COLOURMAP = "inferno"
#: Pictures with fewer pixels than this on a side are enlarged without smoothing.
_SHARP_BELOW = 400


@dataclass(frozen=True)
class Shown:
    """One picture on the page; the zoomed region as percentages `left, top, width, height` of it."""

    uri: str
    ratio: str
    sharp: bool
    box: tuple[str, str, str, str] | None = None


@dataclass(frozen=True)
class Card:
    """One image with its zoom and its error map, or with what takes the error map's place."""

    label: str
    caption: str
    picture: Shown
    zoom: Shown | None = None
    error: Shown | None = None
    note: str = ""


@dataclass(frozen=True)
class Scale:
    """A colour bar: its colours as a CSS gradient and its two ends."""

    name: str
    gradient: str
    low: str
    high: str


@dataclass(frozen=True)
class SampleView:
    name: str
    cards: list[Card]
    scales: list[Scale]

    @property
    def widest(self) -> int:
        """The width of a card on a wide screen, in pixels."""
        return 440 if len(self.cards) < 4 else 340

    @property
    def columns(self) -> int:
        """Cards side by side on a wide screen: all of up to six, else rows as even as can be."""
        count = len(self.cards)
        if count <= 6:
            return max(count, 3)
        return min((4, 5), key=lambda columns: (-count % columns, -columns))


def view_sample(sample: SampleResult, captions: dict[str, str], display: Display) -> SampleView:
    """Everything of a sample in the same grey window, errors on one scale."""
    values = {label: image_values(x) for label, x in sample.reconstructions.items()}
    truth = None if sample.truth is None else image_values(sample.truth)
    leading = truth if truth is not None else next(iter(values.values()))
    window = display.window or shared_window(truth, values.values())
    box = region_within(display.zoom, leading) if display.zoom else telling_region(leading)
    errors = _errors(sample, values) if display.errors else {}
    top = max((float(np.nanpercentile(e, 99.8)) for e in errors.values()), default=0.0) or 1.0
    cards = []
    if truth is not None:
        cards.append(_card("truth", "reference", Picture(truth, window, display.colormap), box))
    cards.append(_measurement_card(sample.measurement, sample.truth, window, display.colormap))
    for label, image in values.items():
        error = Picture(errors[label], (0.0, top), ERROR_COLOURMAP) if label in errors else None
        cards.append(_card(label, captions.get(label, ""), Picture(image, window, display.colormap), box, error))
    scales = [Scale("image", _gradient(display.colormap), *_ticks(window))]
    if errors:
        scales.append(Scale("|error|", _gradient(ERROR_COLOURMAP), *_ticks((0.0, top))))
    return SampleView(sample.name, cards, scales)


def _card(
    label: str, caption: str, picture: Picture, box: tuple[int, int, int, int], error: Picture | None = None
) -> Card:
    return Card(
        label,
        caption,
        shown_of(picture, box),
        shown_of(picture.crop(box)),
        None if error is None else shown_of(error),
    )


def _measurement_card(y: Tensor, truth: Tensor | None, window: Window, colormap: str) -> Card:
    size = " × ".join(map(str, y.shape))
    if truth is not None and y.shape == truth.shape and y.is_complex() == truth.is_complex():
        return Card("measurement", size, shown_of(Picture(image_values(y), window, colormap)))
    values = measurement_values(y)
    own = (-DECADES, 0.0) if y.is_complex() else window_of(values)
    caption = f"{size}, log magnitude" if y.is_complex() else size
    ratio = values.shape[1] / values.shape[0]
    stretched = not 0.6 <= ratio <= 1.7
    shown = shown_of(Picture(values, own))
    if stretched:
        shown = Shown(shown.uri, "1 / 1", shown.sharp)
        caption += ", stretched"
    return Card("measurement", caption, shown)


def _errors(sample: SampleResult, values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """`|x − truth|` of each reconstruction whose shape allows it; of complex images the complex difference."""
    if sample.truth is None:
        return {}
    errors = {}
    for label, x in sample.reconstructions.items():
        if x.shape == sample.truth.shape:
            error = image_values((x - sample.truth).abs())
            errors[label] = error.mean(axis=2) if error.ndim == 3 else error
    return errors


def shown_of(picture: Picture, box: tuple[int, int, int, int] | None = None) -> Shown:
    sharp = max(picture.height, picture.width) < _SHARP_BELOW
    ratio = f"{picture.width} / {picture.height}"
    frame = None
    if box is not None:
        row, column, height, width = box
        shares = (
            column / picture.width,
            row / picture.height,
            width / picture.width,
            height / picture.height,
        )
        frame = tuple(f"{100 * share:.2f}%" for share in shares)
    return Shown(picture.shrunk().uri(), ratio, sharp, frame)  # type: ignore[arg-type]


def _gradient(colormap: str) -> str:
    stops = palette(colormap)[::17]
    return "linear-gradient(to right, " + ", ".join(f"rgb({r} {g} {b})" for r, g, b in stops) + ")"


def _ticks(window: Window) -> tuple[str, str]:
    """The two ends as text; one that is rounding error beside the other is zero."""
    scale = max(map(abs, window))
    low, high = (0.0 if abs(end) < 1e-6 * scale else end for end in window)
    return f"{low:.3g}".replace("-", "−"), f"{high:.3g}".replace("-", "−")
