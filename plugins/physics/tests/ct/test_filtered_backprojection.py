"""Filtered backprojection: absolute values, published figures, incomplete and redundant scans."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed_physics.ct.angles import measured_arcs, view_cells
from wellposed_physics.ct.fan_beam import FanBeam
from wellposed_physics.ct.filters import filter_sinogram
from wellposed_physics.ct.parallel_beam import ParallelBeam
from wellposed_physics.ct.redundancy import redundancy_weights


def psnr(x: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(float(((x - truth) ** 2).mean()))


def relative(x: Tensor, truth: Tensor) -> float:
    return float((x - truth).norm() / truth.norm())


# The published geometry --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "published"),
    [("ram-lak", 17.24), ("shepp-logan", 18.20), ("cosine", 19.37), ("hamming", 19.70), ("hann", 19.69)],
)
def test_published_figures(phantom, window, published):
    """Adler and Öktem 2018: 128², 30 views, 183 bins on ±64√2, noise of 5 % of the mean."""
    operator = ParallelBeam((128, 128), 30, bins=183, bin_spacing=0.9891767)
    truth = phantom.float()
    ideal = operator(truth)
    assert float(ideal.mean()) == pytest.approx(11.0063, abs=1e-3)
    noise = torch.randn(4, *ideal.shape[1:], generator=torch.Generator().manual_seed(0))
    noisy = ideal + 0.05 * ideal.abs().mean() * noise
    images = operator.filtered_backprojection(noisy, window)
    assert np.mean([psnr(x, truth[0]) for x in images]) == pytest.approx(published, abs=0.1)


# Absolute values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scan",
    [
        {"angles": 180},
        {"angles": 180, "backprojection": "interpolated"},
        {"angles": 360, "arc": 360.0, "first": 0.0},
        {"angles": 360, "arc": 270.0, "first": 11.0},
        {"angles": 180, "bin_spacing": 0.4},
        {"angles": 180, "pixel_size": 0.5},
        {"angles": 180, "bins": 120, "rotation_centre": 65.3},
        {"angles": [*range(90), *np.arange(90, 180, 0.5)]},
    ],
    ids=str,
)
def test_smooth_phantom_comes_back_with_its_values(bumps, scan):
    scan = dict(scan)
    backprojection = scan.pop("backprojection", "auto")
    pixel = scan.get("pixel_size", 1.0)
    operator = ParallelBeam((96, 96), unit="degree", **scan).double()
    geometry = operator.geometry
    eta, s = geometry.lines(*np.divmod(np.arange(geometry.views * geometry.bins), geometry.bins))
    scale = 48 * pixel  # the phantom's unit disc fills the image
    y = torch.from_numpy(scale * bumps.integrals(eta, s / scale)).reshape(1, *operator.range.shape)
    truth = bumps.image(96)
    assert relative(operator.filtered_backprojection(y, backprojection=backprojection), truth) < 0.02
    assert torch.equal(operator.pinv(y), operator.filtered_backprojection(y))


@pytest.mark.parametrize("source_origin", [80.0, 400.0])
@pytest.mark.parametrize("arc", ["full", "short", "short plus 40°"])
def test_fan_beam_comes_back_with_its_values(bumps, arc, source_origin):
    fan = 2 * math.degrees(math.asin(48 / source_origin))
    arcs = {"full": 360.0, "short": 180 + fan, "short plus 40°": 220 + fan}
    operator = FanBeam((96, 96), 360, source_origin, 1.5 * source_origin, arc=arcs[arc], first=-75, unit="degree")
    assert relative(operator.double().pinv(fan_data(operator, bumps)), bumps.image(96)) < 0.02


def test_fan_beam_from_three_arcs_that_complete_each_other(bumps):
    angles = [first + degree for first in (0, 120, 240) for degree in range(85)]
    operator = FanBeam((96, 96), angles, 300.0, 400.0, unit="degree", bins=140, rotation_centre=66.6)
    assert relative(operator.double().pinv(fan_data(operator, bumps)), bumps.image(96)) < 0.03


def fan_data(operator: FanBeam, bumps) -> Tensor:
    geometry = operator.geometry
    eta, s = geometry.lines(*np.divmod(np.arange(geometry.views * geometry.bins), geometry.bins))
    return torch.from_numpy(48 * bumps.integrals(eta, s / 48)).reshape(1, *operator.range.shape)


def test_the_mean_of_a_disc_has_no_bias():
    """The band-limited ramp keeps the mean, which a ramp sampled in frequency does not."""
    operator = ParallelBeam((64, 64), 200).double()
    axis = torch.arange(64) - 31.5
    disc = (axis[:, None] ** 2 + axis**2 < 25**2).double()[None, None]
    inner = (axis[:, None] ** 2 + axis**2 < 20**2)[None, None]
    assert float(operator.pinv(operator(disc))[inner].mean()) == pytest.approx(1.0, abs=2e-3)


# Parts -------------------------------------------------------------------------------------------


def test_filters_pass_less_from_ram_lak_to_hann():
    impulse = torch.zeros(1, 65, dtype=torch.float64)
    impulse[0, 32] = 1
    peaks = [
        float(filter_sinogram(impulse, 1.0, window, 1.0)[0, 32])
        for window in ("ram-lak", "shepp-logan", "cosine", "hamming", "hann")
    ]
    assert peaks[0] == pytest.approx(0.25, abs=1e-3)
    assert peaks[1] == pytest.approx(2 / math.pi**2, abs=1e-3)
    assert peaks == sorted(peaks, reverse=True)


def test_cutoff_passes_nothing_above():
    y = torch.cos(0.7 * math.pi * torch.arange(256, dtype=torch.float64))[None]
    window = torch.hann_window(256, dtype=torch.float64)
    passed = filter_sinogram(y * window, 1.0, "ram-lak", 0.8)
    assert float(filter_sinogram(y * window, 1.0, "ram-lak", 0.5).norm() / passed.norm()) < 1e-3


def test_interpolated_backprojection_is_differentiable():
    operator = FanBeam((12, 12), 9, 30.0, 40.0).double()
    y = torch.randn(1, *operator.range.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(operator.pinv, y.requires_grad_(), fast_mode=True)


def test_view_cells_add_up_to_the_measured_arc():
    uneven = np.array([0.1, 0.2, 0.5, 1.0, 1.2, 1.9, 2.3, 3.0])
    assert view_cells(uneven, math.pi).sum() == pytest.approx(math.pi)
    twice = np.concatenate([uneven, uneven + math.pi])
    np.testing.assert_allclose(view_cells(twice, math.pi), np.tile(view_cells(uneven, math.pi) / 2, 2))
    limited = np.linspace(0, 1, 101)
    np.testing.assert_allclose(view_cells(limited, math.pi), 0.01)


def test_a_view_at_both_ends_of_a_half_turn_counts_once():
    closed = np.linspace(0, math.pi, 19)
    cells = view_cells(closed, math.pi)
    assert cells.sum() == pytest.approx(math.pi)
    np.testing.assert_allclose(cells[[0, -1]], math.pi / 36)


def test_arcs_with_gaps_are_found():
    angles = np.radians([*range(350, 360), *range(30), *range(200, 230)])
    found = sorted(measured_arcs(angles))
    np.testing.assert_allclose(np.degrees(found), [[199.5, 30], [349.5, 40]])
    assert measured_arcs(np.radians(np.arange(360))) == [(0.0, 2 * math.pi)]


@pytest.mark.parametrize("arc", [360.0, 250.0, 215.0])
def test_redundancy_weights_of_both_measurements_of_a_line_sum_to_1(arc):
    operator = FanBeam((32, 32), 720, 60.0, 90.0, arc=arc, unit="degree")
    geometry = operator.geometry
    weights = redundancy_weights(geometry)
    assert weights.min() >= 0
    assert weights.max() <= 1
    view, bin = np.meshgrid(np.arange(0, geometry.views, 7), np.arange(geometry.bins), indexing="ij")
    partner = np.mod(geometry.angles[view] + math.pi - 2 * geometry.fan_angles[bin], 2 * math.pi)
    step = geometry.angles[1] - geometry.angles[0]
    nearest = np.rint((partner - geometry.angles[0]) / step).astype(int)
    inside = (nearest >= 2) & (nearest < geometry.views - 2)
    assert inside.any()
    both = weights[view, bin] + weights[nearest.clip(0, geometry.views - 1), geometry.bins - 1 - bin]
    np.testing.assert_allclose(both[inside], 1, atol=0.06)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"filter": "hannn"}, "choose one of ram-lak"),
        ({"cutoff": 0.0}, "Nyquist"),
        ({"cutoff": 1.5}, "Nyquist"),
        ({"backprojection": "interpolate"}, "auto, adjoint, interpolated"),
    ],
)
def test_bad_filters_are_refused_with_a_sentence(arguments, sentence):
    operator = ParallelBeam((8, 8), 5)
    with pytest.raises(InputError, match=sentence):
        operator.filtered_backprojection(torch.zeros(1, *operator.range.shape), **arguments)
