"""Averaging neighbouring detector bins."""

from __future__ import annotations

import numpy as np

from wellposed.errors import InputError


def reduced(rows: np.ndarray, factor: int) -> np.ndarray:
    """Means of `factor` neighbouring bins; what is left over at the end is cut."""
    bins = rows.shape[1] // factor
    if bins < 1:
        raise InputError(f"{factor} bins cannot be averaged where a view has {rows.shape[1]}")
    return rows[:, : bins * factor].reshape(len(rows), bins, factor).mean(2)


def binned(position: float, factor: int) -> float:
    """Where the fractional bin `position` lies after `factor` bins have been averaged."""
    return (position - (factor - 1) / 2) / factor
