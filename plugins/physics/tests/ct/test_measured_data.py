"""Measured sinograms: a neutron scan with its axis off the middle, and a fan-beam scan with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wellposed_physics.ct.fan_beam import FanBeam
from wellposed_physics.ct.parallel_beam import ParallelBeam

#: Views of the HTC 2022 files that together are almost the whole turn.
LIMITS = (40, 50, 60, 70, 80, 90)


def test_neutron_scan_is_explained_best_about_its_rotation_centre(real_data):
    from skimage.io import imread

    intensity = torch.from_numpy(imread(real_data / "sinogram_360_neutron_image.tif").astype("float32"))
    y = -torch.log(intensity.clamp(min=1) / 47057)[None, None, ::3]
    left = {}
    for centre in (240, 245, 250):
        operator = ParallelBeam((503, 503), 153, bins=503, rotation_centre=centre, first=0, arc=360, unit="degree")
        image = operator.filtered_backprojection(y, "hann")
        left[centre] = float((operator(image) - y).norm() / y.norm())
    assert min(left, key=lambda centre: left[centre]) == 245


def test_fan_beam_scan_reaches_the_reference_segmentation(real_data):
    angles, y = merged_views(real_data)
    assert y.shape == (539, 560)
    size = 256
    operator = FanBeam(
        (size, size),
        list(angles),
        source_origin=410.66,
        source_detector=553.74,
        bins=560,
        bin_spacing=0.2,
        pixel_size=0.148322 * 512 / size,
        unit="degree",
    )
    image = operator.filtered_backprojection(y[None, None], "hann")[0, 0].numpy()
    truth = reference(real_data)[::2, ::2]
    assert matthews(image, truth) > 0.96
    assert matthews(image[::-1], truth) < 0.6
    assert matthews(image[:, ::-1], truth) < 0.6


@pytest.mark.slow
def test_least_squares_of_the_fan_beam_scan_reaches_a_matthews_coefficient_of_0_98(real_data):
    from wellposed.linear_algebra import conjugate_gradient

    angles, y = merged_views(real_data)
    operator = FanBeam(
        (512, 512), list(angles), 410.66, 553.74, 560, bin_spacing=0.2, pixel_size=0.148322, unit="degree"
    )
    image = conjugate_gradient(operator.gram, operator.adjoint(y[None, None]), tolerance=1e-9, limit=20)
    assert matthews(image[0, 0].numpy(), reference(real_data)) > 0.98


def merged_views(folder) -> tuple[np.ndarray, torch.Tensor]:
    """All distinct views of phantom tb, by their angles in degrees."""
    from scipy.io import loadmat

    views = {}
    for limit in LIMITS:
        scan = loadmat(folder / f"htc2022_tb_limited_{limit}.mat", squeeze_me=True, struct_as_record=False)
        scan = scan["CtDataLimited"]
        views.update(zip(scan.parameters.angles.round(3).tolist(), scan.sinogram, strict=True))
    angles = np.array(sorted(views))
    return angles, torch.from_numpy(np.stack([views[angle] for angle in angles]).astype("float32"))


def reference(folder) -> np.ndarray:
    from skimage.io import imread

    return imread(folder / "htc2022_tb_groundtruth_seg.png", as_gray=True) > 0.5


def matthews(image: np.ndarray, truth: np.ndarray) -> float:
    """Matthews' correlation of the thresholded image (Otsu) with the truth."""
    from skimage.filters import threshold_otsu

    return float(np.corrcoef((image > threshold_otsu(image)).ravel(), truth.ravel())[0, 1])
