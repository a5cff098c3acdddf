"""One number in a file that is not finite, one empty view, one missing corner: told, and told of the right one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.pattern import Pattern
from wellposed.testing.doubles import Bumps
from wellposed_physics.datasets.htc2022 import HTC2022
from wellposed_physics.datasets.image_folder import find_files
from wellposed_physics.datasets.images import as_image, central_square, resized
from wellposed_physics.datasets.k_space_file import KSpaceFile
from wellposed_physics.datasets.kspace import calibration_side, is_complete, observed, thinned
from wellposed_physics.datasets.rotated import Rotated
from wellposed_physics.datasets.rotation_centre import _vertex, estimated_rotation_centre
from wellposed_physics.datasets.sinogram_file import SinogramFile

BROKEN = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
Array = np.ndarray


def with_one(array: Array, value: float) -> Array:
    array = np.array(array)
    array[(1,) * array.ndim] = value
    return array


@BROKEN
def test_one_number_of_a_file_that_is_not_finite(tmp_path: Path, value: float) -> None:
    rows, kspace = np.ones((4, 20)), np.ones((2, 20, 20), dtype=complex)
    np.save(tmp_path / "rows.npy", with_one(rows, value))
    with pytest.raises(InputError, match=r"sinogram in .*rows.npy holds numbers that are not finite"):
        SinogramFile(str(tmp_path / "rows.npy"))
    np.save(tmp_path / "kspace.npy", with_one(kspace, value))
    with pytest.raises(InputError, match=r"k-space in .* holds numbers that are not finite"):
        KSpaceFile(str(tmp_path / "kspace.npy"))
    with pytest.raises(InputError, match="photo holds numbers that are not finite"):
        as_image(with_one(np.ones((3, 4)), value), "photo", grayscale=True)
    parameters = {
        "distanceSourceOrigin": 410.66,
        "distanceSourceDetector": 553.74,
        "angles": np.arange(4.0),
        "pixelSizePost": 0.2,
        "effectivePixelSizePost": 0.148322,
        "projectName": "x",
    }
    document = {"type": "2d", "sinogram": with_one(rows, value), "parameters": parameters}
    scipy.io.savemat(tmp_path / "htc.mat", {"CtDataLimited": document})
    with pytest.raises(InputError, match=r"sinogram in .*htc.mat holds numbers that are not finite"):
        HTC2022([str(tmp_path / "htc.mat")])
    with pytest.raises(InputError, match="finite angles"):
        Rotated(Bumps(), [10.0, value])


# Counts ---------------------------------------------------------------------------------------------


def test_bins_without_counts_are_interpolated_in_their_view(tmp_path: Path) -> None:
    counts = np.exp(-np.tile(np.linspace(0, 1, 11), (3, 1))) * 100
    counts[1, 4] = 0
    counts[2, 0] = 0
    np.save(tmp_path / "counts.npy", counts)
    data = SinogramFile(str(tmp_path / "counts.npy"), flat_field=100.0, scale=1.0)
    measured = data[0].measurement
    assert measured is not None
    line = torch.linspace(0, 1, 11)
    views = measured.reshape(3, 11) / measured.reshape(3, 11)[0, -1]
    torch.testing.assert_close(views[0].float(), line, atol=1e-5, rtol=0)
    torch.testing.assert_close(views[1].float(), line, atol=1e-5, rtol=0)
    torch.testing.assert_close(views[2].float()[1:], line[1:], atol=1e-5, rtol=0)
    assert float(views[2, 0]) == pytest.approx(0.1, abs=1e-5)  # as the nearest bin that counted


def test_a_view_that_counted_nothing_is_told_by_its_number(tmp_path: Path) -> None:
    counts = np.full((3, 11), 50.0)
    counts[1] = 0
    np.save(tmp_path / "counts.npy", counts)
    with pytest.raises(InputError, match="view 1 counted nothing"):
        SinogramFile(str(tmp_path / "counts.npy"), flat_field=100.0)
    for flat in (0.0, -1.0):
        with pytest.raises(InputError, match=r"flat field.* must be positive"):
            SinogramFile(str(tmp_path / "counts.npy"), flat_field=flat)


# k-space --------------------------------------------------------------------------------------------


def test_a_sample_is_observed_where_any_coil_measured() -> None:
    kspace = torch.zeros(3, 4, 5, dtype=torch.complex64)
    kspace[1, 2, 3] = 1j
    kspace[2, 0, 0] = 1
    found = observed(kspace)
    assert found.nonzero().tolist() == [[0, 0], [2, 3]]


def filled(rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(12, 14, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def test_a_rectangle_around_dc_is_complete_and_nothing_else() -> None:
    assert is_complete(filled(slice(None), slice(None)))
    assert is_complete(filled(slice(2, 11), slice(0, 9)))
    assert not is_complete(filled(slice(7, 11), slice(0, 9))), "without DC"
    holed = filled(slice(2, 11), slice(0, 9))
    holed[3, 3] = False
    assert not is_complete(holed)
    beside = filled(slice(2, 11), slice(0, 9))
    beside[0, 0] = True
    assert not is_complete(beside)
    striped = filled(slice(2, 11), slice(0, 9))
    striped[4] = False
    assert not is_complete(striped)
    columns = filled(slice(2, 11), slice(0, 9))
    columns[:, 4] = False
    assert not is_complete(columns)


def test_the_calibration_square_ends_at_the_first_sample_that_is_missing() -> None:
    mask = torch.ones(40, 30, dtype=torch.bool)
    assert calibration_side(mask, "x") == 24
    mask[20 - 7, 15] = False  # a square of side 14 begins 7 before the middle
    assert calibration_side(mask, "x") == 13
    mask[20, 15] = False
    with pytest.raises(InputError, match="x: coil maps are estimated from the centre"):
        calibration_side(mask, "x")


class Given(Pattern):
    source = "a test"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return self.mask


def test_masks_are_thinned_to_what_both_keep() -> None:
    mask = filled(slice(0, 6), slice(0, 6))
    assert thinned(mask, None, "x") is mask
    both = thinned(mask, Given(filled(slice(5, 9), slice(0, 3)).double()), "x")
    assert torch.equal(both, filled(slice(5, 6), slice(0, 3)))
    with pytest.raises(InputError, match="x: the mask keeps none of the measured samples"):
        thinned(mask, Given(filled(slice(6, 9), slice(0, 3))), "x")
    with pytest.raises(InputError, match=r"k-space of \(12, 14\); the mask given is \(3, 3\)"):
        thinned(mask, Given(torch.ones(3, 3)), "x")


# Images ---------------------------------------------------------------------------------------------


def test_hidden_files_and_folders_are_left_out_and_the_rest_is_in_order(tmp_path: Path) -> None:
    for name in ("b/c.png", "a.PNG", ".hidden/a.png", "b/.d.png", "b/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [str(f.relative_to(tmp_path)) for f in find_files(tmp_path, (".png",))]
    assert found == ["a.PNG", "b/c.png"]
    assert find_files(tmp_path / "b/e.txt", (".png",)) == [tmp_path / "b/e.txt"]
    with pytest.raises(InputError, match=r"holds no file that ends in .gif"):
        find_files(tmp_path, (".gif",))
    with pytest.raises(InputError, match="no file or folder"):
        find_files(tmp_path / "none", (".png",))


COLOURS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (COLOURS, (3, 3, 4)),
        (COLOURS[..., :1], (1, 3, 4)),
        (COLOURS[..., :2], (1, 3, 4)),
        (np.concatenate([COLOURS, COLOURS[..., :1]], 2), (3, 3, 4)),
        (np.moveaxis(np.concatenate([COLOURS, COLOURS], 1), 2, 0), (3, 3, 8)),
        (COLOURS[..., 0], (1, 3, 4)),
    ],
)
def test_channels_come_first_and_alpha_goes(array: Array, shape: tuple[int, ...]) -> None:
    found = as_image(array, "x", grayscale=False)
    assert tuple(found.shape) == shape
    assert float(found.max()) <= 35 / 255 + 1e-6
    for bad in (np.zeros(4), np.zeros((5, 6, 7)), np.zeros((2, 5, 7)), np.zeros((1, 2, 3, 4))):
        with pytest.raises(InputError, match=r"x has the shape .*; an image is \(H, W\)"):
            as_image(bad, "x", grayscale=False)


def test_numbers_are_divided_as_their_type_or_the_user_says() -> None:
    assert as_image(np.array([[255]], dtype=np.uint8), "x", grayscale=False).item() == 1.0
    assert as_image(np.array([[65535]], dtype=np.uint16), "x", grayscale=False).item() == 1.0
    assert as_image(np.array([[255]], dtype=np.int16), "x", grayscale=False).item() == 255.0
    assert as_image(np.array([[2.5]]), "x", grayscale=False).item() == 2.5
    assert as_image(np.array([[255]], dtype=np.uint8), "x", grayscale=False, divide_by=10.0).item() == 25.5
    assert as_image(np.array([[1 + 2j]]), "x", grayscale=False).dtype == torch.complex64
    gray = as_image(COLOURS, "x", grayscale=True)
    weights = torch.tensor([0.2125, 0.7154, 0.0721])
    expected = (torch.from_numpy(COLOURS.astype(np.float32)) / 255 * weights).sum(2)
    torch.testing.assert_close(gray, expected[None])


@pytest.mark.parametrize("shape", [(1, 7, 4), (1, 4, 7), (1, 5, 5)])
def test_the_square_in_the_middle(shape: tuple[int, ...]) -> None:
    image = torch.arange(float(np.prod(shape))).reshape(shape)
    side = min(shape[1:])
    top, left = (shape[1] - side) // 2, (shape[2] - side) // 2
    assert torch.equal(central_square(image, None, "x"), image[:, top : top + side, left : left + side])
    small = central_square(image, 2, "x")
    top, left = (shape[1] - 2) // 2, (shape[2] - 2) // 2
    assert torch.equal(small, image[:, top : top + 2, left : left + 2])
    with pytest.raises(InputError, match=rf"x is {shape[1]} × {shape[2]}; a square of {side + 1}"):
        central_square(image, side + 1, "x")


def test_resizing_keeps_constants_means_and_parts() -> None:
    image = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0))
    assert resized(image, 12) is image
    torch.testing.assert_close(resized(torch.ones(1, 12, 12), 5), torch.ones(1, 5, 5))
    torch.testing.assert_close(resized(image, 1).flatten(), image.mean((1, 2)), atol=0.05, rtol=0)
    both = torch.complex(image[:1], image[1:])
    torch.testing.assert_close(resized(both, 5), torch.complex(resized(image[:1], 5), resized(image[1:], 5)))


# The centre of rotation -----------------------------------------------------------------------------


def disc_sinogram(angles: Array, centre: float, bins: int) -> Array:
    """Line integrals of two discs, the axis of rotation at bin `centre`."""
    position = np.arange(bins) - centre
    total = np.zeros((len(angles), bins))
    for x, y, r in ((8.0, 3.0, 5.0), (-6.0, -10.0, 3.0)):
        offset = x * np.cos(angles) + y * np.sin(angles)
        inside = np.clip(r**2 - (position[None] - offset[:, None]) ** 2, 0, None)
        total += 2 * np.sqrt(inside)
    return total


@pytest.mark.parametrize("centre", [31.5, 28.0, 35.3])
@pytest.mark.parametrize("turn", [2 * math.pi, 1.2 * math.pi])
def test_the_centre_is_found_to_a_tenth_of_a_bin(centre: float, turn: float) -> None:
    angles = np.arange(120) * (turn / 120)
    found = estimated_rotation_centre(disc_sinogram(angles, centre, 64), angles)
    assert found == pytest.approx(centre, abs=0.1)


def test_without_opposite_views_it_is_not_guessed() -> None:
    angles = np.arange(60) * (math.pi / 120)
    for some in (angles, angles[:1]):
        with pytest.raises(InputError, match="opposite views only"):
            estimated_rotation_centre(disc_sinogram(some, 30.0, 64), some)


def test_a_parabola_at_the_end_of_the_range_is_not_fitted() -> None:
    assert _vertex(np.array([3.0, 1.0, 2.0])) == pytest.approx(0.5 * 1.0 / 3.0)
    assert _vertex(np.array([1.0, 0.0, 1.0])) == 0.0
    for values in ([1.0, 0.5], [np.inf, 1.0, 2.0], [2.0, 1.0, np.inf], [1.0, 1.0, 1.0], [0.0, 1.0, 0.5]):
        assert _vertex(np.array(values)) == 0.0
