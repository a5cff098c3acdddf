"""One unit of angles everywhere: radian, unless degree is said; what cannot be radian is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellposed import InputError
from wellposed_physics.ct.fan_beam import FanBeam
from wellposed_physics.ct.parallel_beam import ParallelBeam
from wellposed_physics.datasets.rotation_centre import estimated_rotation_centre
from wellposed_physics.datasets.sinogram_file import SinogramFile

VIEWS = 6


def parallel(folder: Path, **angles: Any) -> np.ndarray:
    return ParallelBeam((8, 8), **{"angles": VIEWS, **angles}).geometry.angles


def fan(folder: Path, **angles: Any) -> np.ndarray:
    return FanBeam((8, 8), **{"angles": VIEWS, **angles}, source_origin=40.0, source_detector=60.0).geometry.angles


def file(folder: Path, **angles: Any) -> np.ndarray:
    """A file whose views begin at 0; it has no `first`."""
    np.save(folder / "sinogram.npy", np.ones((VIEWS, 9)))
    return SinogramFile(str(folder / "sinogram.npy"), **{k: v for k, v in angles.items() if k != "first"}).angles


everywhere = pytest.mark.parametrize("angles_of", [parallel, fan, file])
#: Angles in degree, as they are given to each of the three.
GIVEN = [
    {"angles": [0, 30, 60, 90, 120, 150]},
    {"angles": range(0, 180, 30)},
    {"angles": np.arange(0.0, 180.0, 30.0)},
    {"angles": [90.0, 91.0, 92.0, 93.0, 94.0, 95.0]},
    {"first": 0, "arc": 180},
    {"first": 0, "last": 360},
]


@everywhere
@pytest.mark.parametrize("given", GIVEN)
def test_degrees_are_taken_where_they_are_called_so_and_refused_where_not(
    tmp_path: Path, angles_of: Callable[..., np.ndarray], given: dict[str, Any]
) -> None:
    radians = {k: v if k == "angles" and isinstance(v, int) else np.radians(np.asarray(v)) for k, v in given.items()}
    np.testing.assert_allclose(angles_of(tmp_path, **given, unit="degree"), angles_of(tmp_path, **radians))
    with pytest.raises(InputError, match=r"cannot be radian.*say unit: degree.*math\.radians"):
        angles_of(tmp_path, **given)


@everywhere
def test_a_full_turn_in_radian_is_taken(tmp_path: Path, angles_of: Callable[..., np.ndarray]) -> None:
    whole = np.linspace(0, 2 * math.pi, VIEWS)
    np.testing.assert_allclose(angles_of(tmp_path, angles=whole.astype(np.float32)), whole, atol=1e-6)
    np.testing.assert_allclose(angles_of(tmp_path, angles=list(range(6))), np.arange(6))
    np.testing.assert_allclose(angles_of(tmp_path, first=0.0, last=6.283), np.linspace(0, 6.283, VIEWS))
    np.testing.assert_allclose(angles_of(tmp_path, angles=whole - 3 * math.pi), whole - 3 * math.pi)


@everywhere
@pytest.mark.parametrize("unit", ["deg", "degrees", "rad", None])
def test_another_unit_is_refused(tmp_path: Path, angles_of: Callable[..., np.ndarray], unit: Any) -> None:
    with pytest.raises(InputError, match=r"the unit of angles is radian or degree; .* was given"):
        angles_of(tmp_path, angles=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5], unit=unit)


def test_angles_in_a_file_have_the_unit_too(tmp_path: Path) -> None:
    path = tmp_path / "scan.npz"
    np.savez(path, y=np.ones((VIEWS, 9)), degrees=np.arange(0, 180, 30), radians=np.arange(0, 180, 30) * math.pi / 180)
    expected = np.arange(VIEWS) * math.pi / VIEWS
    np.testing.assert_allclose(SinogramFile(str(path), "y", angles="degrees", unit="degree").angles, expected)
    np.testing.assert_allclose(SinogramFile(str(path), "y", angles="radians").angles, expected)
    with pytest.raises(InputError, match=r"the angles 'degrees' of .*scan\.npz from 0 to 150 cannot be radian"):
        SinogramFile(str(path), "y", angles="degrees")


def test_the_rotation_centre_is_not_estimated_from_degrees() -> None:
    angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    bins = np.arange(41)
    rows = np.exp(-0.5 * ((bins - 22.3 - 5 * np.cos(angles)[:, None]) / 3) ** 2)
    assert estimated_rotation_centre(rows, angles) == pytest.approx(22.3, abs=0.05)
    with pytest.raises(InputError, match="cannot be radian"):
        estimated_rotation_centre(rows, np.degrees(angles))
    with pytest.raises(InputError, match=r"\(60, 41\) and 59 angles"):
        estimated_rotation_centre(rows, angles[1:])


@pytest.mark.parametrize("shape", [(8, 32, 32), (8,), 32, (8.5, 8), (0, 8), "ab", (True, 8)])
@pytest.mark.parametrize("beam", [ParallelBeam, FanBeam])
def test_a_shape_is_two_sizes(beam: Any, shape: Any) -> None:
    lengths = {"source_origin": 40.0, "source_detector": 60.0} if beam is FanBeam else {}
    with pytest.raises(InputError, match=r"takes shape: \[height, width\] with positive sizes"):
        beam(shape=shape, angles=6, **lengths)
