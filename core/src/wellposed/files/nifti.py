"""NIfTI volumes, scaled by their header, in the axis order of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .formats import library


def read(path: Path, key: str | None) -> np.ndarray:
    nibabel = library("nibabel", "nibabel", path)
    return np.asanyarray(nibabel.load(path).dataobj)


def describe(path: Path) -> list[tuple]:
    nibabel = library("nibabel", "nibabel", path)
    image = nibabel.load(path)
    return [("", tuple(image.shape), str(image.header.get_data_dtype()))]
