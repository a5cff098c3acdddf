"""ℓ1, group norm, Huber, box and Tikhonov: closed forms, conjugates, refusals."""

from __future__ import annotations

import pytest
import torch

from wellposed import InputError, Regularizer, ShapeError
from wellposed.space import inner, norm
from wellposed_classical.differences import Differences
from wellposed_classical.regularizers.box import Box, Nonnegativity
from wellposed_classical.regularizers.group_norm import GroupNorm
from wellposed_classical.regularizers.huber import Huber
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.tikhonov import Tikhonov


def randn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def minimise_scalar(regularizer: Regularizer, x: float, step: float) -> float:
    """The proximal point of one number by golden-section search, from values alone."""
    low, high, ratio = -abs(x) - 1.0, abs(x) + 1.0, (5**0.5 - 1) / 2

    def objective(u: float) -> float:
        value = regularizer(torch.tensor([[u]], dtype=torch.float64))
        return step * float(value) + 0.5 * (u - x) ** 2

    for _ in range(80):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if objective(a) < objective(b) else (a, high)
    return 0.5 * (low + high)


@pytest.mark.parametrize("regularizer", [L1Norm(), Huber(0.3), Huber(2.0), Tikhonov()])
@pytest.mark.parametrize("step", [0.1, 1.5])
def test_prox_of_numbers_against_a_search(regularizer: Regularizer, step: float) -> None:
    points = torch.tensor([-2.0, -0.4, -0.05, 0.0, 0.2, 0.31, 1.0, 3.0], dtype=torch.float64)[:, None]
    found = regularizer.prox(points, step)
    for x, u in zip(points, found, strict=True):
        assert float(u) == pytest.approx(minimise_scalar(regularizer, float(x), step), abs=1e-6)


@pytest.mark.parametrize(
    "regularizer",
    [L1Norm(), GroupNorm((1,)), GroupNorm((1, 2)), Huber(0.3), Tikhonov(), Box(-0.4, 0.9), Box(upper=0.2)],
)
def test_moreau_and_fenchel(regularizer: Regularizer) -> None:
    x, steps = randn(3, 2, 3, 4), torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    column = steps.reshape(-1, 1, 1, 1)
    u = regularizer.prox(x, steps)
    p = regularizer.prox_conjugate(x / column, 1 / steps)
    torch.testing.assert_close(u + column * p, x, rtol=0, atol=1e-13)
    conjugate = regularizer.conjugate(p)
    assert conjugate is not None
    torch.testing.assert_close(regularizer(u) + conjugate, inner(u, p), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("regularizer", [L1Norm(), Huber(0.3), Tikhonov(), GroupNorm((1,))])
def test_complex_numbers_shrink_in_modulus(regularizer: Regularizer) -> None:
    x = randn(1, 1, 5, dtype=torch.complex128)
    moduli = regularizer.prox(x.abs(), 0.4)
    torch.testing.assert_close(regularizer.prox(x, 0.4), moduli * x / x.abs(), rtol=0, atol=1e-14)
    torch.testing.assert_close(regularizer(x), regularizer(x.abs()))


@pytest.mark.parametrize("regularizer", [Huber(0.3), Huber(2.0), Tikhonov(), Tikhonov("gradient")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_are_those_of_the_value(regularizer: Regularizer, dtype: torch.dtype) -> None:
    x = randn(2, 1, 4, 5, dtype=dtype)
    expected = Regularizer.grad(regularizer, x)
    torch.testing.assert_close(regularizer.grad(x), expected, rtol=1e-12, atol=1e-13)


def test_huber_is_smooth_with_its_constant_and_becomes_l1() -> None:
    x = randn(4, 1, 200)
    for delta in (0.1, 3.0):
        regularizer = Huber(delta)
        z = x + 1e-3 * randn(4, 1, 200, seed=1)
        ratio = norm(regularizer.grad(x) - regularizer.grad(z)) / norm(x - z)
        assert float(ratio.max()) <= 1 / delta * (1 + 1e-9)
        assert regularizer.smoothness == pytest.approx(1 / delta)
    torch.testing.assert_close(Huber(1e-9)(x), L1Norm()(x), rtol=1e-7, atol=0)


def test_l1_does_not_divide_by_zero() -> None:
    zero = torch.zeros(1, 1, 3, dtype=torch.complex128, requires_grad=True)
    value = L1Norm()(zero)
    (gradient,) = torch.autograd.grad(value.sum(), zero)
    assert float(value.detach()) == 0.0
    assert bool((gradient == 0).all())
    assert bool((GroupNorm((1,)).prox(torch.zeros(1, 2, 3), 0.0) == 0).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_tikhonov_on_the_gradient_solves_its_normal_equations(dtype: torch.dtype) -> None:
    regularizer, x = Tikhonov("gradient"), randn(2, 2, 6, 9, dtype=dtype)
    steps = torch.tensor([0.3, 40.0], dtype=torch.float64)
    u = regularizer.prox(x, steps)
    residual = u + steps.reshape(-1, 1, 1, 1) * regularizer.grad(u) - x
    assert float(residual.abs().max()) < 1e-12
    assert regularizer.smoothness_on(x) == pytest.approx(Differences().norm(x) ** 2)
    torch.testing.assert_close(regularizer.prox(x, 0.0), x, rtol=0, atol=1e-13)


def test_tikhonov_splits_into_the_gradient() -> None:
    x = randn(2, 1, 5, 5)
    (term,) = Tikhonov("gradient").split()
    assert term.analysis is not None
    torch.testing.assert_close(term.functional(term.analysis(x)), Tikhonov("gradient")(x))
    assert Tikhonov().split()[0].analysis is None
    assert (Tikhonov().strong_convexity, Tikhonov("gradient").strong_convexity) == (1.0, 0.0)


def test_box_values_and_refusals() -> None:
    x = torch.tensor([[0.0, 1.0], [0.5, 1.1], [float("nan"), 0.0]])
    assert Box(0.0, 1.0)(x).tolist() == [0.0, float("inf"), float("inf")]
    assert Nonnegativity()(torch.tensor([[0.0, -1e-9]])).tolist() == [float("inf")]
    assert Nonnegativity().prox(torch.tensor([[-1.0, 2.0]]), 3.0).tolist() == [[0.0, 2.0]]
    with pytest.raises(InputError, match="complex"):
        Nonnegativity().prox(torch.zeros(1, 2, dtype=torch.complex64), 1.0)
    with pytest.raises(InputError, match="lower or an upper"):
        Box()
    with pytest.raises(InputError, match="lower ≤ upper"):
        Box(1.0, 0.0)
    with pytest.raises(InputError, match="delta"):
        Huber(0.0)
    with pytest.raises(InputError, match="axes"):
        GroupNorm((0,))
    with pytest.raises(ShapeError, match="spatial axis"):
        Tikhonov("gradient").prox(torch.zeros(2, 3), 1.0)


def test_one_sided_support_function() -> None:
    conjugate = Nonnegativity().conjugate(torch.tensor([[-1.0, 0.0], [0.5, -1.0]]))
    assert conjugate.tolist() == [0.0, float("inf")]
    assert Box(-1.0, 2.0).conjugate(torch.tensor([[3.0, -2.0]])).tolist() == [8.0]


@pytest.mark.parametrize("weight", [0.0, 0.3, torch.tensor(0.3), torch.tensor([0.0])])
def test_weights_keep_projections_exact(weight: float | torch.Tensor) -> None:
    """Dual steps are large against the weight: rounding must not push a point out of its ball."""
    regularizer, p = weight * GroupNorm((1,)), 1e4 * randn(2, 2, 30).float()
    projected = regularizer.prox_conjugate(p, 0.01)
    w = torch.as_tensor(weight).expand(2)
    lengths = projected.square().sum(1).sqrt()
    torch.testing.assert_close(lengths, w[:, None].expand(2, 30), rtol=1e-6, atol=0)
    if not bool((w == 0).any()):
        assert bool((regularizer.conjugate(projected) == 0).all())
