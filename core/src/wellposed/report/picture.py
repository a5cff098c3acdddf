"""Tensors as pictures: what is shown of an image, a measurement or an error, and its PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Window = tuple[float, float]
#: Longest side of a picture on the page; larger images are shown averaged down.
LONGEST_SIDE = 768
#: Decades of a complex measurement's magnitude that its picture shows.
DECADES = 4.0


@dataclass(frozen=True)
class Picture:
    """Values `(H, W)` or `(H, W, 3)` with the window that maps to black and white, and a colour map."""

    values: NDArray[np.float64]
    window: Window
    colormap: str = "gray"

    @property
    def height(self) -> int:
        return self.values.shape[0]

    @property
    def width(self) -> int:
        return self.values.shape[1]

    def crop(self, box: tuple[int, int, int, int]) -> Picture:
        """The region `[row, column, height, width]`, cut to the picture."""
        row, column, height, width = box
        return Picture(self.values[row : row + height, column : column + width], self.window, self.colormap)

    def shrunk(self, longest: int = LONGEST_SIDE) -> Picture:
        """Averaged over whole blocks of pixels until no side is longer than `longest`."""
        factor = -(-max(self.height, self.width) // longest)
        if factor <= 1:
            return self
        height, width = self.height // factor * factor, self.width // factor * factor
        cut = self.values[:height, :width]
        blocks = cut.reshape(height // factor, factor, width // factor, factor, *cut.shape[2:])
        return Picture(blocks.mean(axis=(1, 3)), self.window, self.colormap)

    def png(self) -> bytes:
        """The picture as PNG with a palette; values outside the window are clipped, not-a-number is black."""
        low, high = self.window
        scale = 255.0 / (high - low) if high > low else 0.0
        levels = np.nan_to_num((self.values - low) * scale, nan=0.0, posinf=255.0, neginf=0.0)
        pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(pixels))
        if pixels.ndim == 2 and self.colormap != "gray":
            image.putpalette(palette(self.colormap).tobytes())
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def uri(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png()).decode("ascii")


def palette(colormap: str) -> NDArray[np.uint8]:
    """The 256 colours `(256, 3)` of a matplotlib colour map; an unknown name gives grey."""
    import matplotlib

    names = matplotlib.colormaps
    chosen = names[colormap] if colormap in names else names["gray"]
    return np.rint(chosen(np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)


def image_values(x: Tensor) -> NDArray[np.float64]:
    """What is shown of an image `(C, *spatial)`: magnitude if complex, colours if three channels.

    Of other multi-channel images the first channel (complex: the root sum of squares), of volumes the
    middle slice, of signals a strip.
    """
    x = x.detach().cpu()
    if x.is_complex():
        x = x.abs() if len(x) == 1 else torch.linalg.vector_norm(x, dim=0, keepdim=True)
    while x.ndim > 3:
        x = x[:, x.shape[1] // 2]
    if x.ndim == 2:
        return _strip(x[0].double().numpy())
    if len(x) == 3:
        return x.permute(1, 2, 0).double().numpy()
    return x[0].double().numpy()


def measurement_values(y: Tensor) -> NDArray[np.float64]:
    """What is shown of a measurement: complex ones as log magnitude over all coils, 1-D ones as a strip."""
    y = y.detach().cpu()
    if y.is_complex():
        flat = y.reshape(-1, *y.shape[-2:]) if y.ndim >= 2 else y[None]
        magnitude = torch.linalg.vector_norm(flat, dim=0).double()
        peak = float(magnitude.max())
        values = torch.log10((magnitude / peak).clamp_min(10**-DECADES)) if peak > 0 else magnitude
        return _strip(values.numpy()) if values.ndim == 1 else values.numpy()
    if y.ndim == 1:
        return _strip(y.double().numpy())
    return y.reshape(-1, *y.shape[-2:])[0].double().numpy()


def shared_window(truth: NDArray[np.float64] | None, images: Iterable[NDArray[np.float64]]) -> Window:
    """One window for all images of a sample: the truth's; without one, what all images fill.

    Images over ten times the least range (diverged, full of streaks) do not count.
    """
    if truth is not None:
        return window_of(truth)
    windows = [window_of(values, cut=0.5) for values in images]
    least = min(high - low for low, high in windows)
    windows = [(low, high) for low, high in windows if high - low <= 10 * least]
    return min(low for low, _ in windows), max(high for _, high in windows)


def window_of(values: NDArray[np.float64], cut: float = 0.0) -> Window:
    """Black and white of an image without a given window: its extremes, but for outliers.

    `cut` percent of the darkest and of the brightest pixels are clipped in any case (noisy images).
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (cut, 100.0 - cut)))
    robust_low, robust_high = (float(v) for v in np.percentile(finite, (0.25, 99.75)))
    spread = robust_high - robust_low
    if spread > 0:  # outliers are cut only where they would take more than half of the grey scale
        low = robust_low if robust_low - low > spread / 2 else low
        high = robust_high if high - robust_high > spread / 2 else high
    return (low, high) if high > low else (low, low + 1.0)


def region_within(region: Sequence[int], values: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """`[row, column, height, width]`, shrunk and moved so that it lies in the image."""
    (row, column, height, width), (rows, columns) = region, values.shape[:2]
    height, width = min(height, rows), min(width, columns)
    return min(row, rows - height), min(column, columns - width), height, width


def telling_region(values: NDArray[np.float64], share: float = 0.28) -> tuple[int, int, int, int]:
    """The square region `[row, column, height, width]` with the most detail: most gradient energy, off the rim."""
    grey = values.mean(axis=2) if values.ndim == 3 else values
    grey = np.nan_to_num(grey, nan=0.0, posinf=0.0, neginf=0.0)
    height, width = grey.shape
    side = max(8, round(share * min(height, width)))
    if min(height, width) <= side:
        return 0, 0, height, width
    rows, columns = np.gradient(grey)
    slope = np.hypot(rows, columns)
    energy = np.minimum(slope, np.percentile(slope, 99) / 4)  # many weak edges tell more than one strong one
    total = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    rim = min(side // 3, (min(sums.shape) - 1) // 2)
    if rim > 0:
        sums[:rim] = sums[-rim:] = sums[:, :rim] = sums[:, -rim:] = -1.0
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(row), int(column), side, side


def _strip(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.repeat(signal[None], max(1, len(signal) // 8), axis=0)
