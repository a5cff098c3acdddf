from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch
from torch import nn

from wellposed.errors import InputError, ShapeError
from wellposed_physics.operators.convolution import Convolution
from wellposed_physics.operators.downsampling import Downsampling
from wellposed_physics.operators.kernels import CameraShakeKernel, DiskKernel, GaussianKernel, MotionKernel, _deposit

GENERATOR = torch.Generator().manual_seed(3)
IMAGE = torch.randn((2, 1, 9, 11), generator=GENERATOR, dtype=torch.float64)
KERNEL = torch.rand((3, 5), generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize(("boundary", "mode"), [("circular", "wrap"), ("reflect", "reflect")])
def test_agrees_with_scipy_for_odd_kernels(boundary, mode):
    found = Convolution((9, 11), KERNEL, boundary).double()(IMAGE)
    for image, result in zip(IMAGE[:, 0], found[:, 0], strict=True):
        expected = scipy.ndimage.convolve(image.numpy(), KERNEL.numpy(), mode=mode)
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("size", [(3, 5), (4, 2), (9, 11)])
def test_valid_agrees_with_scipy(size):
    kernel = torch.rand(size, generator=GENERATOR, dtype=torch.float64)
    found = Convolution((9, 11), kernel, "valid").double()(IMAGE)
    expected = scipy.signal.convolve2d(IMAGE[0, 0].numpy(), kernel.numpy(), mode="valid")
    assert found.shape == (2, 1, *expected.shape)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("boundary", ["circular", "reflect"])
def test_a_kernel_of_even_size_has_its_middle_at_half_its_size(boundary):
    kernel = torch.zeros((4, 2), dtype=torch.float64)
    kernel[2, 1] = 1.0
    torch.testing.assert_close(Convolution((9, 11), kernel, boundary).double()(IMAGE), IMAGE)


def test_reflection_keeps_constants_and_repeats_the_border():
    ones = torch.ones((1, 1, 6, 7), dtype=torch.float64)
    operator = Convolution((6, 7), GaussianKernel(1.0, 5), "reflect").double()
    torch.testing.assert_close(operator(ones), ones)


def test_circular_pseudo_inverse_recovers_the_image():
    operator = Convolution((9, 11), GaussianKernel(0.5)).double()
    torch.testing.assert_close(operator.pinv(operator(IMAGE)), IMAGE, rtol=1e-10, atol=1e-10)


def test_rcond_cuts_what_the_kernel_removes():
    mean = torch.full((1, 4), 0.25, dtype=torch.float64)  # exact zeros in the spectrum for width 8
    operator = Convolution((6, 8), mean).double()
    y = torch.randn((1, 1, 6, 8), generator=GENERATOR, dtype=torch.float64)
    assert operator.pinv(y).abs().max() < 100
    torch.testing.assert_close(operator(operator.pinv(operator(y))), operator(y))


@pytest.mark.parametrize("boundary", ["circular", "reflect", "valid"])
def test_gradients_reach_a_learned_kernel(boundary):
    operator = Convolution((9, 11), nn.Parameter(KERNEL.clone()), boundary)
    assert list(operator.state_dict()) == ["kernel"]
    y = operator(IMAGE).detach()
    direction = torch.randn(KERNEL.shape, generator=GENERATOR, dtype=torch.float64)
    for apply in (
        lambda: operator(IMAGE),
        lambda: operator.adjoint(y),
        lambda: operator.gram(IMAGE),
        lambda: operator.solve_normal(IMAGE, 0.5),
    ):
        operator.kernel.grad = None
        apply().square().sum().backward()
        slope = float((operator.kernel.grad * direction).sum())
        with torch.no_grad():
            operator.kernel += 1e-5 * direction
            above = float(apply().square().sum())
            operator.kernel -= 2e-5 * direction
            below = float(apply().square().sum())
            operator.kernel += 1e-5 * direction
        assert slope == pytest.approx((above - below) / 2e-5, rel=1e-6)


def test_what_does_not_fit_is_told():
    with pytest.raises(ShapeError, match="larger than the image"):
        Convolution((4, 4), torch.ones(5, 3))
    with pytest.raises(ShapeError, match="height, width"):
        Convolution((4, 4), torch.ones(1, 3, 3))
    with pytest.raises(InputError, match="real kernel"):
        Convolution((4, 4), torch.ones(3, 3, dtype=torch.complex64))


# Kernels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel",
    [GaussianKernel(1.3), GaussianKernel(2.0, 5), DiskKernel(2.5), DiskKernel(0.4), MotionKernel(7.0, 33.0),
     MotionKernel(0.0), CameraShakeKernel(20.0, seed=4)],
)  # fmt: skip
def test_kernels_are_nonnegative_odd_and_sum_to_one(kernel):
    values = kernel()
    assert values.min() >= 0
    assert float(values.sum()) == pytest.approx(1.0, abs=1e-14)
    assert values.shape[0] % 2 == values.shape[1] % 2 == 1
    assert torch.equal(values, kernel((64, 64)))


def moments(kernel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean `(row, column)` from the middle, and covariance."""
    grid = torch.stack(torch.meshgrid(*(torch.arange(n) - n // 2 for n in kernel.shape), indexing="ij")).double()
    mean = (grid * kernel).sum((1, 2))
    centred = grid - mean[:, None, None]
    return mean, torch.einsum("iab,jab,ab->ij", centred, centred, kernel)


def test_gaussian_moments():
    mean, covariance = moments(GaussianKernel(1.5)())
    assert mean.abs().max() < 1e-14
    torch.testing.assert_close(covariance, 2.25 * torch.eye(2).double(), rtol=3e-3, atol=1e-12)


def test_disk_has_the_area_of_a_disk():
    kernel = DiskKernel(3.0)()
    assert kernel.shape == (7, 7)
    assert float(1 / kernel.max()) == pytest.approx(math.pi * 9, rel=1e-3)
    torch.testing.assert_close(kernel, kernel.T, atol=5e-5, rtol=0)


def test_motion_runs_along_its_angle():
    mean, covariance = moments(MotionKernel(12.0, 30.0)())
    assert mean.abs().max() < 1e-12
    values, vectors = torch.linalg.eigh(covariance)
    assert float(values[1]) == pytest.approx(12**2 / 12, rel=0.05)
    assert float(values[0]) < 0.35  # the width of the bilinear weights
    row, column = vectors[:, 1]
    assert math.degrees(math.atan2(float(-row), float(column))) % 180 == pytest.approx(30, abs=1)
    horizontal = MotionKernel(3.0)()
    assert horizontal.shape[0] == horizontal.shape[1]
    assert float(horizontal[horizontal.shape[0] // 2].sum()) == pytest.approx(1.0)


def test_camera_shake_is_reproducible_and_of_its_length():
    assert not torch.equal(CameraShakeKernel(20.0, seed=1)(), CameraShakeKernel(20.0, seed=2)())
    mean, covariance = moments(CameraShakeKernel(20.0, seed=1)())
    assert mean.abs().max() < 1e-3
    assert 1.0 < float(covariance.trace()) < 20**2 / 12 + 1


def test_bad_kernels_are_told():
    for make in (lambda: GaussianKernel(0.0), lambda: GaussianKernel(1.0, 4), lambda: DiskKernel(-1.0),
                 lambda: MotionKernel(-1.0), lambda: CameraShakeKernel(0.0)):  # fmt: skip
        with pytest.raises(InputError):
            make()


# Downsampling -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "shape"), [(2, (8, 6)), (3, (9, 6)), (4, (8, 12))])
def test_without_a_kernel_coarse_pixels_are_block_means(factor, shape):
    x = torch.randn((2, 3, *shape), generator=GENERATOR, dtype=torch.float64)
    found = Downsampling(shape, factor, channels=3).double()(x)
    torch.testing.assert_close(found, nn.functional.avg_pool2d(x, factor), rtol=1e-12, atol=1e-13)


def test_downsampling_with_a_kernel_is_decimated_convolution():
    x = torch.randn((1, 1, 9, 12), generator=GENERATOR, dtype=torch.float64)
    blurred = Convolution((9, 12), KERNEL).double()(x)
    torch.testing.assert_close(Downsampling((9, 12), 3, KERNEL).double()(x), blurred[..., 1::3, 1::3])


def test_downsampling_tells_what_does_not_divide():
    with pytest.raises(ShapeError, match="divisible by 3"):
        Downsampling((10, 9), 3)
    with pytest.raises(InputError, match="factor ≥ 1"):
        Downsampling((10, 9), 0)


def deposited(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Bilinear weights of points around the middle, one after another."""
    reach = max(int(np.ceil(max(np.abs(row).max(), np.abs(column).max()) - 1e-9)), 0)
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2))
    for r, c in zip(row + reach, column + reach, strict=True):
        top, left = int(np.floor(r)), int(np.floor(c))
        for i, wi in ((top, 1 - (r - top)), (top + 1, r - top)):
            for j, wj in ((left, 1 - (c - left)), (left + 1, c - left)):
                kernel[i, j] += wi * wj
    return kernel[:-1, :-1] / kernel[:-1, :-1].sum()


@pytest.mark.parametrize(("length", "smoothness", "seed"), [(9.0, 0.25, 0), (14.5, 0.1, 3), (6.0, 1.0, 5)])
def test_a_camera_shakes_as_an_ornstein_uhlenbeck_process(length: float, smoothness: float, seed: int) -> None:
    """`v_n = d·v_{n−1} + kick_n`, the first value stationary; the path scaled to its length, centred."""
    steps = 32 * int(np.ceil(length)) + 1
    kicks = torch.randn((2, steps), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).numpy()
    decay = np.exp(-1 / (smoothness * steps))
    velocity = np.zeros((2, steps))
    velocity[:, 0] = kicks[:, 0] / np.sqrt(1 - decay**2)
    for n in range(1, steps):
        velocity[:, n] = decay * velocity[:, n - 1] + kicks[:, n]
    path = np.cumsum(velocity, axis=1) * length / np.hypot(*velocity).sum()
    path -= path.mean(axis=1, keepdims=True)
    found = CameraShakeKernel(length, smoothness, seed)()
    np.testing.assert_allclose(found.numpy(), deposited(*path), atol=1e-12)


@pytest.mark.parametrize(("length", "angle"), [(7.0, 33.0), (4.0, 90.0), (5.5, -20.0)])
def test_motion_goes_counter_clockwise_with_its_angle(length: float, angle: float) -> None:
    steps = 16 * int(np.ceil(length)) + 1
    along = ((np.arange(steps) + 0.5) / steps - 0.5) * length
    turn = np.radians(angle)
    expected = deposited(-np.sin(turn) * along, np.cos(turn) * along)
    np.testing.assert_allclose(MotionKernel(length, angle)().numpy(), expected, atol=1e-12)
    if angle == 90.0:
        assert int((MotionKernel(length, angle)().sum(0) > 1e-9).sum()) == 1


def test_a_path_that_rounding_puts_beyond_its_square_stays_in_it() -> None:
    for place in (1 + 5e-10, -1 - 5e-10):
        at, zero = torch.tensor([place], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        expected = torch.zeros(3, 3, dtype=torch.float64)
        expected[0 if place < 0 else 2, 1] = 1.0
        torch.testing.assert_close(_deposit(at, zero), expected, atol=1e-8, rtol=0)
        torch.testing.assert_close(_deposit(zero, at), expected.T, atol=1e-8, rtol=0)
        assert float(_deposit(at, at)[(0, 0) if place < 0 else (2, 2)]) == pytest.approx(1.0)
