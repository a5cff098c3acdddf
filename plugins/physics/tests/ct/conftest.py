"""Phantoms with known line integrals, for the tests of the tomographs."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

#: Value, semi-axes, centre and tilt (radians) of overlapping ellipses inside the unit disc.
ELLIPSES = ((1.0, 0.6, 0.35, 0.1, -0.15, 0.4), (-0.6, 0.25, 0.15, -0.2, 0.1, -0.9), (0.5, 0.2, 0.3, 0.3, 0.3, 0.0))

#: Value, semi-axes, centre and tilt (degrees) of the modified Shepp-Logan phantom.
SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0),
    (-0.8, 0.6624, 0.8740, 0.0, -0.0184, 0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0),
)


class EllipticBumps:
    """`f = Σ v (1 − ρ²)^power` inside each ellipse, `ρ` the elliptic radius; twice differentiable for power 3.

    The integral along `x cos η + y sin η = s` of one of them is `v a b c / α · (1 − (τ/α)²)^(power + ½)` with
    `α² = a² cos²(η − φ) + b² sin²(η − φ)`, `τ` the line's distance from the centre and `c = B(½, power + 1)`.
    """

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def image(self, size: int, width: float = 2.0) -> Tensor:
        """Point samples `(1, 1, size, size)` on `[−width/2, width/2]²`, row 0 at the top."""
        x = (np.arange(size) - (size - 1) / 2) * (width / size)
        x, y = np.meshgrid(x, -x)
        total = np.zeros((size, size))
        for value, a, b, x0, y0, tilt in ELLIPSES:
            along, across = _turned(x - x0, y - y0, tilt)
            inside = np.clip(1 - (along / a) ** 2 - (across / b) ** 2, 0, None)
            total += value * inside**self.power
        return torch.from_numpy(total)[None, None]

    def integrals(self, eta: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """The integrals along the lines with normal angle `eta` and signed `distance`."""
        beta = math.sqrt(math.pi) * math.gamma(self.power + 1) / math.gamma(self.power + 1.5)
        total = np.zeros_like(distance)
        for value, a, b, x0, y0, tilt in ELLIPSES:
            alpha = np.hypot(a * np.cos(eta - tilt), b * np.sin(eta - tilt))
            tau = (distance - x0 * np.cos(eta) - y0 * np.sin(eta)) / alpha
            total += value * a * b / alpha * beta * np.clip(1 - tau**2, 0, None) ** (self.power + 0.5)
        return total


def shepp_logan(size: int) -> Tensor:
    """The modified phantom as ODL samples it: the outermost pixel centres are at ±1."""
    x = np.linspace(-1, 1, size)
    x, y = np.meshgrid(x, -x)
    total = np.zeros((size, size))
    for value, a, b, x0, y0, degrees in SHEPP_LOGAN:
        along, across = _turned(x - x0, y - y0, math.radians(degrees))
        total[(along / a) ** 2 + (across / b) ** 2 <= 1] += value
    return torch.from_numpy(total)[None, None]


def _turned(x: np.ndarray, y: np.ndarray, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    return x * math.cos(tilt) + y * math.sin(tilt), y * math.cos(tilt) - x * math.sin(tilt)


@pytest.fixture(scope="session")
def bumps() -> EllipticBumps:
    return EllipticBumps()


@pytest.fixture(scope="session")
def phantom() -> Tensor:
    """The modified Shepp-Logan phantom at 128², float64."""
    return shepp_logan(128)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of measured data; tests that need it are skipped where it is absent."""
    default = Path(__file__).resolve().parents[4] / "../shared"
    folder = Path(os.environ.get("WELLPOSED_SHARED", default)) / "data/real/ct"
    if not folder.is_dir():
        pytest.skip(f"no measured data in {folder}; set WELLPOSED_SHARED to the folder that holds data/")
    return folder
