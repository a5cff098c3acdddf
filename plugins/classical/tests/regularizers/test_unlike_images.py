"""Batches of unlike images through proximal maps: steps, finiteness and sizes of each are its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import InputError, ShapeError
from wellposed_classical.differences import Differences
from wellposed_classical.inner_solvers.denoise import denoise, normalise
from wellposed_classical.inner_solvers.step_sizes import Steps
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.total_variation import TotalVariation
from wellposed_classical.symmetric_differences import SymmetricDifferences
from wellposed_classical.wavelets import Wavelet


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_broken_pixel_loses_its_image_alone(value: float) -> None:
    x = images(3, 1, 6, 7)
    clean = TotalVariation().prox(x, 0.2)
    x[1, 0, 2, 3] = value
    found = TotalVariation().prox(x, 0.2)
    torch.testing.assert_close(found[[0, 2]], clean[[0, 2]])
    assert bool(torch.isnan(found[1]).all())


def test_steps_of_zero_and_unlike_steps() -> None:
    x = images(4, 1, 6, 7)
    steps = torch.tensor([0.0, 0.01, 1.0, 1e4], dtype=torch.float64)
    found = TotalVariation().prox(x, steps)
    assert torch.equal(found[0], x[0])
    torch.testing.assert_close(found[3], x[3].mean().expand_as(x[3]))
    for i in (1, 2):
        alone = TotalVariation().prox(x[i : i + 1], float(steps[i]))
        torch.testing.assert_close(found[i : i + 1], alone)


@pytest.mark.parametrize("steps", [[0.1, -0.1], [-0.1, 0.1], [float("nan"), 0.1]])
def test_one_negative_step_is_refused(steps: list[float]) -> None:
    with pytest.raises(InputError, match="step of a proximal map must be ≥ 0"):
        TotalVariation().prox(images(2, 1, 4, 4), torch.tensor(steps))


@pytest.mark.parametrize("shift", [0.0, -1.0, torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 2.0])])
def test_one_shift_that_is_not_positive_is_refused(shift: float | Tensor) -> None:
    with pytest.raises(InputError, match="needs a shift > 0"):
        Differences().solve_normal(images(2, 1, 4, 5), shift)


def test_the_inverse_of_each_sample_is_of_its_own_shift() -> None:
    x, shift = images(2, 3, 4, 5), torch.tensor([0.3, 2.0], dtype=torch.float64)
    difference = Differences()
    found = difference.solve_normal(x, shift)
    back = difference.adjoint(difference(found)) + shift.reshape(-1, 1, 1, 1) * found
    torch.testing.assert_close(back, x)


def test_shapes_that_are_no_images_and_no_differences_of_images() -> None:
    with pytest.raises(ShapeError, match="at least one spatial axis"):
        Differences()(images(2, 3))
    for shape in ((2, 0, 3), (2, 3, 1), (2, 1, 3, 4, 5), (2, 3, 1, 4, 5)):
        with pytest.raises(ShapeError, match="adjoint of the discrete gradient takes"):
            Differences().adjoint(images(*shape))
    assert Differences().adjoint(images(2, 2, 1, 4, 5)).shape == (2, 1, 4, 5)


def test_images_are_scaled_by_their_weight_and_a_constant_needs_no_work() -> None:
    x = images(3, 1, 4, 4)
    x[1] = 2.5
    weight = torch.tensor([0.5, 0.5, 2.0], dtype=torch.float64)
    scaled = normalise(x, weight)
    torch.testing.assert_close(scaled.trend.flatten(), x.flatten(1).mean(1))
    torch.testing.assert_close(scaled.scale.flatten(), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    assert not scaled.image[1].any()
    torch.testing.assert_close(scaled.image[2], (x[2] - x[2].mean()) / 2.0)
    assert bool(scaled.finite.all())


def test_weights_far_from_the_image_are_brought_near_it() -> None:
    """Below a thousandth of a rounding of the peak, and above the peak times the pixels, the solution is the same."""
    x = images(2, 1, 4, 4)
    peak = (x - x.mean((2, 3), keepdim=True)).abs().flatten(1).amax(1)
    eps = torch.finfo(torch.float64).eps
    tiny = normalise(x, torch.full((2,), 1e-40, dtype=torch.float64)).scale.flatten()
    huge = normalise(x, torch.full((2,), 1e40, dtype=torch.float64)).scale.flatten()
    torch.testing.assert_close(tiny, 1e-3 * eps * peak)
    torch.testing.assert_close(huge, 16 * peak)


def test_the_gap_that_is_told_bounds_the_distance() -> None:
    """`‖x − x*‖² ≤ 2·gap·objective`, at every tolerance; the default is 1e-4, after at most 1000 iterations."""
    y, weight = images(3, 1, 8, 9), torch.tensor([0.1, 0.3, 1.0], dtype=torch.float64)
    exact = denoise(y, weight, tolerance=1e-13, limit=100_000).results[0]
    total = TotalVariation()
    for tolerance in (1e-1, 1e-4):
        solved = denoise(y, weight, tolerance=tolerance)
        x = solved.results[0]
        objective = (x - y).square().flatten(1).sum(1) / 2 + weight * total(x)
        distance = (x - exact).square().flatten(1).sum(1)
        assert bool((solved.gap <= tolerance).all())
        assert bool((distance <= 2 * solved.gap * objective * (1 + 1e-6) + 1e-20).all())
    default = denoise(y, weight)
    assert torch.equal(default.results[0], denoise(y, weight, "isotropic", 1e-4, 1000).results[0])
    assert int(denoise(y, weight, tolerance=0.0).iterations.max()) == 1000


def test_soft_thresholds_of_each_sample() -> None:
    x = images(2, 1, 3, 3)
    step = torch.tensor([0.2, 1.5], dtype=torch.float64)
    found = L1Norm().prox(x, step)
    for i in range(2):
        torch.testing.assert_close(found[i], torch.sgn(x[i]) * (x[i].abs() - step[i]).clamp_min(0))


@pytest.mark.parametrize("shape", [(2, 2, 1, 4, 5), (2, 4, 1, 4, 5), (2, 1, 1), (2, 0, 3)])
def test_fields_that_are_no_symmetrised_derivatives_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="adjoint of the symmetrised derivative takes"):
        SymmetricDifferences().adjoint(images(*shape))
    with pytest.raises(ShapeError, match="the symmetrised derivative takes"):
        SymmetricDifferences()(images(2, 3, 1, 4, 5))
    assert SymmetricDifferences().adjoint(images(2, 3, 1, 4, 5)).shape == (2, 2, 1, 4, 5)


def test_shifted_normal_equations_of_an_orthonormal_transform() -> None:
    transform, x = Wavelet("db2", 1), images(2, 1, 4, 8)
    found = transform.solve_normal(x, 0.25)
    torch.testing.assert_close(transform.adjoint(transform(found)) + 0.25 * found, x)


def test_steps_of_the_accelerated_method_are_those_of_its_paper() -> None:
    """Chambolle and Pock 2011, algorithm 2, with γ = 0.35: `στ‖∇‖² = 1` at every step, `θ = (1 + 2γτ)^−½`."""
    steps = Steps(axes=2).take(6)
    tau, sigma = 1.0, 1 / 8
    for step in steps:
        theta = (1 + 0.7 * tau) ** -0.5
        assert step.sigma == pytest.approx(sigma)
        assert step.sigma * tau * 8 == pytest.approx(1.0)
        assert step.relax == pytest.approx(tau / (1 + tau))
        assert step.extrapolate == pytest.approx((1 + theta) * tau / (1 + tau))
        tau, sigma = theta * tau, sigma / theta
    assert Steps(axes=3).take(1)[0].sigma == pytest.approx(1 / 12)
