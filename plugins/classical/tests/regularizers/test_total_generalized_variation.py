"""Second-order total generalised variation: kernel, value and proximal map with their certificates, derivatives."""

from __future__ import annotations

import pytest
import torch

from wellposed import InputError
from wellposed.space import inner, norm
from wellposed_classical.differences import Differences
from wellposed_classical.inner_solvers.second_order import denoise_second_order, second_order_variation
from wellposed_classical.regularizers.total_generalized_variation import TotalGeneralizedVariation
from wellposed_classical.regularizers.total_variation import TotalVariation
from wellposed_classical.symmetric_differences import SymmetricDifferences

ACCURATE = {"tolerance": 1e-8, "limit": 10000}


def randn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def affine(n: int = 10) -> torch.Tensor:
    i = torch.arange(float(n), dtype=torch.float64)
    return (0.7 * i[:, None] - 0.2 * i + 3.0)[None, None]


def test_affine_images_are_free() -> None:
    regularizer, x = TotalGeneralizedVariation(**ACCURATE), affine()
    assert float(regularizer(x)) < 1e-12
    assert float(TotalVariation()(x)) > 50
    torch.testing.assert_close(TotalGeneralizedVariation(tolerance=1e-6).prox(x, 5.0), x, rtol=0, atol=1e-6)
    complex_image = torch.complex(x, -2 * x)
    assert float(regularizer(complex_image)) < 1e-11


def test_value_is_certified_and_between_its_neighbours() -> None:
    """Never above total variation (w = 0), nor above ratio·Σ|E∇x| (w = ∇x); monotone in the ratio."""
    x = randn(1, 1, 8, 9)
    values = [float(TotalGeneralizedVariation(r, **ACCURATE)(x)) for r in (0.1, 0.5, 2.0, 50.0)]
    assert values == sorted(values)
    second = SymmetricDifferences()(Differences()(x)).square().sum(1).sqrt().sum()
    assert values[0] == pytest.approx(0.1 * float(second), rel=1e-6)
    assert values[-1] <= float(TotalVariation()(x)) * (1 + 1e-9)
    gradient = Differences()(x)
    value, field, gap = second_order_variation(gradient, 0.5, 1e-6, 20000)
    assert float(gap) <= 1e-6
    below = float((gradient * field).sum())
    assert below <= values[1] * (1 + 1e-9) <= float(value) * (1 + 2e-9)
    assert float(value) - below <= 1.01e-6 * float(value)


def test_one_dimension_in_closed_form() -> None:
    """Of a ramp that bends by β in the middle of a long signal: `ratio·β`, for it is cheaper to bend w."""
    i = torch.arange(40.0, dtype=torch.float64)
    bent = torch.where(i < 20, 0.0, 0.5 * (i - 20))[None, None]
    assert float(TotalGeneralizedVariation(2.0, **ACCURATE)(bent)) == pytest.approx(2.0 * 0.5, rel=1e-6)
    step = torch.where(i < 20, 0.0, 1.0)[None, None]
    assert float(TotalGeneralizedVariation(2.0, **ACCURATE)(step)) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_prox_is_optimal(dtype: torch.dtype) -> None:
    """`p = (y − u)/s` is a subgradient: `<u, p> = R(u)`, and `<v, p> ≤ R(v)` for every v."""
    regularizer, y = TotalGeneralizedVariation(**ACCURATE), randn(2, 1, 8, 8, dtype=dtype)
    u = regularizer.prox(y, 0.3)
    p = (y - u) / 0.3
    torch.testing.assert_close(inner(u, p), regularizer(u), rtol=1e-4, atol=0)
    for seed in range(1, 5):
        v = randn(2, 1, 8, 8, dtype=dtype, seed=seed)
        assert bool((inner(v, p) <= regularizer(v) * (1 + 1e-4)).all())


def test_gap_of_the_prox_is_a_certificate() -> None:
    y, weight = randn(2, 1, 10, 9), torch.tensor([0.05, 0.4], dtype=torch.float64)
    rough = denoise_second_order(y, weight, 2.0, 1e-2, 5000)
    fine = denoise_second_order(y, weight, 2.0, 1e-7, 20000)
    assert bool((rough.gap <= 1e-2).all())
    objective = 0.5 * norm(rough.results[0] - y) ** 2
    objective = objective + weight * TotalGeneralizedVariation(2.0, **ACCURATE)(rough.results[0])
    distance = norm(rough.results[0] - fine.results[0])
    # The iterate's own objective, with its own w, is a little above the one with the best w.
    assert bool((distance**2 <= 2 * rough.gap * objective * 1.1).all())
    assert bool((distance > 1e-6).all())


def test_large_ratio_is_total_variation_on_flat_images() -> None:
    """With little slope to explain, an expensive second derivative leaves first-order denoising."""
    y = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    y[..., 3:9, 3:9] = 1.0
    second = TotalGeneralizedVariation(1e3, tolerance=1e-4).prox(y, 0.2)
    first = TotalVariation(tolerance=1e-8).prox(y, 0.2)
    torch.testing.assert_close(second, first, rtol=0, atol=1e-2)


def test_value_and_prox_are_differentiable() -> None:
    regularizer = TotalGeneralizedVariation(tolerance=1e-10, limit=5000)
    y, h, v = (randn(1, 1, 6, 6, seed=k) for k in (2, 1, 3))
    e = 1e-5
    point = y.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(regularizer(point).sum(), point)
    along = (regularizer(y + e * h) - regularizer(y - e * h)) / (2 * e)
    torch.testing.assert_close(inner(gradient, h), along, rtol=1e-4, atol=0)
    step = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    inner(regularizer.prox(point, step), v).sum().backward()
    assert point.grad is not None
    assert step.grad is not None
    along = inner(regularizer.prox(y + e * h, 0.3) - regularizer.prox(y - e * h, 0.3), v) / (2 * e)
    torch.testing.assert_close(inner(point.grad, h), along, rtol=1e-3, atol=1e-4)
    along = inner(regularizer.prox(y, 0.3 + e) - regularizer.prox(y, 0.3 - e), v) / (2 * e)
    torch.testing.assert_close(step.grad, along, rtol=1e-3, atol=1e-4)


def test_samples_and_channels_are_alone() -> None:
    regularizer, y = TotalGeneralizedVariation(), randn(2, 2, 7, 8)
    together = regularizer.prox(y, torch.tensor([0.1, 0.6], dtype=torch.float64))
    alone = regularizer.prox(y[1:, :1], 0.6)
    torch.testing.assert_close(together[1:, :1], alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(regularizer(y)[1], regularizer(y[1:, :1])[0] + regularizer(y[1:, 1:])[0])


def test_arguments_are_checked() -> None:
    for wrong in ({"ratio": 0.0}, {"tolerance": -1.0}, {"limit": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            TotalGeneralizedVariation(**wrong)


def test_a_value_with_a_graph_is_the_same_value() -> None:
    x = torch.randn(2, 1, 5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    regularizer = TotalGeneralizedVariation()
    plain = regularizer(x)
    torch.testing.assert_close(regularizer(x.clone().requires_grad_()).detach(), plain, rtol=1e-12, atol=0)
