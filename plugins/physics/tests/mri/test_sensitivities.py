from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from wellposed.errors import InputError, ShapeError
from wellposed.files import read_array
from wellposed_physics.mri.coil_maps import Birdcage
from wellposed_physics.mri.masks import CartesianMask
from wellposed_physics.mri.multicoil import MulticoilFourier
from wellposed_physics.mri.sensitivities import _hann, espirit, smooth_maps

ROOT = Path(__file__).resolve().parents[4]
SHARED = Path(os.environ.get("WELLPOSED_SHARED", ROOT / "../shared")) / "data"
BRAIN = SHARED / "real/mri/brain_alias_8ch.mat"


def disks(size: tuple[int, int]) -> torch.Tensor:
    """Overlapping disks, well inside the image."""
    y, x = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in size)
    radius = torch.hypot(y[:, None], x)
    inner = torch.hypot(y[:, None] - 0.2, x + 0.1)
    return (radius < 0.8).double() + 0.5 * (inner < 0.4) - 0.3 * (torch.hypot(y[:, None] + 0.3, x) < 0.2)


@pytest.fixture(scope="module")
def phantom():
    """Image, true maps and k-space of two samples, the second scaled and turned in phase."""
    size = (48, 40)
    maps = Birdcage(6)(size)
    image = disks(size)
    images = torch.stack([image + 0j, 1e-3j * image])[:, None]
    return image, maps, MulticoilFourier(size, None, maps).double()(images)


def test_birdcage_maps_are_normalised_and_turn_with_the_coils():
    maps = Birdcage(4)((32, 32))
    assert maps.shape == (4, 32, 32)
    torch.testing.assert_close(maps.abs().square().sum(0), torch.ones(32, 32).double())
    torch.testing.assert_close(maps[1].abs(), torch.rot90(maps[0].abs(), 1))
    assert int(maps[0].abs().argmax()) % 32 == 31  # the first wire is on the right


@pytest.mark.parametrize("estimate", [espirit, smooth_maps])
def test_maps_of_a_phantom_are_found_up_to_phase(phantom, estimate):
    image, maps, kspace = phantom
    found = estimate(kspace, calibration=20)
    alike = (found * maps.conj()).sum(1).abs()[:, image > 0.3]
    assert float(alike.min()) > (0.998 if estimate is espirit else 0.95)
    power = found.abs().square().sum(1)
    torch.testing.assert_close(power[:, image > 0.3], torch.ones_like(power[:, image > 0.3]))
    single = estimate(kspace[1:], calibration=20)
    torch.testing.assert_close(single, found[1:], rtol=1e-6, atol=1e-6)


def test_espirit_explains_the_data_and_is_zero_off_the_object(phantom):
    kspace = phantom[2]
    operator = MulticoilFourier((48, 40), coils=6).double().calibrated(kspace)
    explained = operator(operator.adjoint(kspace))
    assert float((explained - kspace).norm() / kspace.norm()) < 5e-3
    assert not operator.sensitivities[:, :, :2, :2].any()


def test_maps_in_single_precision_stay_single(phantom):
    kspace = phantom[2].to(torch.complex64)
    for estimate in (espirit, smooth_maps):
        found = estimate(kspace, calibration=20)
        assert found.dtype == torch.complex64
        assert float((found - estimate(phantom[2], calibration=20).to(torch.complex64)).abs().mean()) < 1e-3


def test_espirit_needs_no_more_than_the_centre(phantom):
    kspace = phantom[2]
    mask = CartesianMask(2.0, 0.5)((48, 40))
    found = espirit(kspace * mask, calibration=20)
    torch.testing.assert_close(found, espirit(kspace, calibration=20))


def test_what_cannot_be_estimated_is_told(phantom):
    with pytest.raises(ShapeError, match="complex k-space"):
        espirit(torch.ones(1, 4, 8, 8))
    with pytest.raises(InputError, match="centre of this k-space is zero"):
        smooth_maps(torch.zeros(1, 4, 8, 8, dtype=torch.complex64))
    with pytest.raises(InputError, match="kernel"):
        espirit(phantom[2], calibration=5)


@pytest.mark.skipif(not BRAIN.exists(), reason="the shared data folder is not here")
def test_measured_brain_combines_to_its_root_sum_of_squares():
    data = read_array(str(BRAIN), "DATA")[:, 44:212]
    kspace = torch.from_numpy(np.ascontiguousarray(data.transpose(2, 0, 1)))[None].to(torch.complex64)
    waiting = MulticoilFourier((320, 168), coils=8)
    reference = waiting.root_sum_of_squares(kspace)
    bright = reference > 0.1 * reference.max()
    assert 0.2 < float(bright.float().mean()) < 0.8
    for estimate, tolerance in ((espirit, 0.06), (smooth_maps, 0.06)):
        operator = waiting.calibrated(kspace, estimate)
        combined = operator.zero_filled(kspace)
        error = (combined.abs() - reference)[bright].norm() / reference[bright].norm()
        assert float(error) < tolerance
        unexplained = (operator(combined) - kspace).norm() / kspace.norm()
        assert float(unexplained) < 0.2


@pytest.mark.parametrize("n", [8, 24])
def test_the_window_is_a_hann_window_without_its_zeros(n):
    expected = torch.from_numpy(np.hanning(n + 3))[1 : n + 1]
    torch.testing.assert_close(_hann(n, torch.zeros(1, dtype=torch.complex128)), expected)
    odd = _hann(n + 1, torch.zeros(1, dtype=torch.complex128))
    torch.testing.assert_close(odd, odd.flip(0))
    assert float(odd[n // 2]) == 1.0
