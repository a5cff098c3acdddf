"""View angles, and their unit, which is said here for all of tomography.

Angles of views are in radian, wherever they are given: operators, datasets, `estimated_rotation_centre`. Who has
degrees says `unit: degree` beside them (operators and datasets), or converts (`math.radians`, `numpy.radians`).
Angles without a unit that cannot be radian, since they reach over more than a full turn or are whole numbers beyond
one, are refused. Inside, all angles are float64 radians.

Turns of images and kernels (`augmented`, `rotated`, `motion-kernel`) and the cuts of `htc2022`, whose files are in
degrees, are no view angles; they are in degrees, as their arguments say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Literal

import numpy as np

from wellposed.errors import InputError

AngleUnit = Literal["radian", "degree"]

_UNIT_IN_RADIANS = {"radian": 1.0, "degree": math.pi / 180}

#: What views in radian may span; the last of a full turn, rounded to three digits, is still within it.
_FULL_TURN = 2 * math.pi + 1e-2

#: Gaps this many times wider than the median gap between views are arcs that were not measured.
_MISSING_ARC = 4.0

#: Views nearer to each other than this (radians) are one view measured twice.
_SAME_VIEW = 1e-9


def view_angles(
    angles: int | Sequence[float],
    arc: float | None,
    first: float | None,
    last: float | None,
    unit: AngleUnit,
    full_arc: float,
) -> np.ndarray:
    """The angles of the views in radians, float64, shape `(views,)`.

    A list is taken as it is. A number `N` spreads views over `arc` (default `full_arc`, given in
    radians): cell-centred at `(k + ½)·arc/N`, or, with `first`, at `first + k·arc/N`; with `first`
    and `last`, evenly from one to the other, both included. `arc`, `first`, `last` are in `unit`.
    """
    if not isinstance(angles, Integral):
        if any(given is not None for given in (arc, first, last)):
            raise InputError("arc, first and last spread a number of views; the angles were given as a list")
        return in_radians(angles, unit)
    count = int(angles)
    if count < 1:
        raise InputError(f"a scan needs at least one view; angles={count} was given")
    if last is not None:
        if first is None or arc is not None:
            raise InputError("last needs first, and excludes arc: views go evenly from first to last")
        return np.linspace(*in_radians([first, last], unit, "first and last"), count)
    step = (full_arc if arc is None else arc_in_radians(arc, unit)) / count
    start = step / 2 if first is None else float(in_radians([first], unit, "first")[0])
    return start + step * np.arange(count)


def in_radians(angles: Sequence[float] | np.ndarray, unit: AngleUnit, what: str = "angles") -> np.ndarray:
    """A list of angles in radians, float64.

    Raises `InputError` for an unknown unit, for what is no list of finite numbers, and for angles without a unit that
    cannot be radian: they span more than a full turn, or are whole numbers beyond one.
    """
    scale = _scale(unit)
    try:
        found = np.asarray(angles, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.ndim != 1 or len(found) == 0 or not np.isfinite(found).all():
        raise InputError(f"{what} must be a number of views or a list of at least one finite number")
    whole = bool((found == np.round(found)).all()) and float(np.abs(found).max()) > _FULL_TURN
    if unit == "radian" and (whole or float(np.ptp(found)) > _FULL_TURN):
        raise InputError(
            f"{what} from {found.min():g} to {found.max():g} cannot be radian, of which a full turn has 6.28; for "
            f"degrees say unit: degree, or convert them with math.radians; turns beyond the first are taken off by "
            f"numpy.mod(angles, 2 * math.pi)"
        )
    return found * scale


def arc_in_radians(arc: float, unit: AngleUnit) -> float:
    """An arc in radians; raises `InputError` as `in_radians` does."""
    return float(np.ptp(in_radians([0.0, arc], unit, "an arc"))) * math.copysign(1.0, arc)


def _scale(unit: AngleUnit) -> float:
    if unit not in _UNIT_IN_RADIANS:
        raise InputError(f"the unit of angles is {' or '.join(_UNIT_IN_RADIANS)}; {unit!r} was given")
    return _UNIT_IN_RADIANS[unit]


def view_cells(angles: np.ndarray, period: float) -> np.ndarray:
    """The arc that each view stands for (radians), for quadrature over views on a circle of `period`.

    Half the gap to either neighbour, so that any spacing, and views measured twice, are weighted
    rightly. A gap over four times the median was not measured; its rims get the median instead.
    """
    order, gaps = _gaps(angles, period)
    typical = _typical_gap(gaps)
    gaps = np.where(gaps > _MISSING_ARC * typical, typical, gaps)
    place = np.cumsum(np.append(0, gaps[:-1] > _SAME_VIEW))  # views at one angle share its cell
    place[place == place[-1]] *= gaps[-1] > _SAME_VIEW
    shares = np.bincount(place, (gaps + np.roll(gaps, 1)) / 2) / np.bincount(place)
    cells = np.empty_like(angles)
    cells[order] = shares[place]
    return cells


def measured_arcs(angles: np.ndarray) -> list[tuple[float, float]]:
    """The arcs `(start, length)` that the views cover on the circle, half a gap beyond the outermost views."""
    order, gaps = _gaps(angles, 2 * math.pi)
    typical = _typical_gap(gaps)
    ends = np.flatnonzero(gaps > _MISSING_ARC * typical)
    if len(ends) == 0:
        return [(0.0, 2 * math.pi)]
    sorted_angles = np.mod(angles, 2 * math.pi)[order]
    starts = np.roll((ends + 1) % len(angles), 1)
    arcs = []
    for start, end in zip(starts, ends, strict=True):
        length = np.mod(sorted_angles[end] - sorted_angles[start], 2 * math.pi) + typical
        arcs.append((float(sorted_angles[start] - typical / 2), float(length)))
    return arcs


def _gaps(angles: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray]:
    """Sorting order of the views on the circle, and the gap behind each of them, summing to `period`."""
    turned = np.mod(angles, period)
    order = np.argsort(turned, kind="stable")
    turned = turned[order]
    return order, np.append(np.diff(turned), turned[0] + period - turned[-1])


def _typical_gap(gaps: np.ndarray) -> float:
    """The median gap, repeated views left out."""
    return float(np.median(gaps[gaps > _SAME_VIEW]))
