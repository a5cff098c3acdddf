"""The algebra of regularizers: weights, sums, and what they promise."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from wellposed import InputError, Regularizer
from wellposed.errors import CapabilityMissing
from wellposed.regularizer import Sum
from wellposed.space import per_sample


class HalfSquare(Regularizer):
    """`½‖x‖²`, its own conjugate."""

    source = "closed form"
    capabilities = frozenset({"value", "grad", "prox"})
    convex = True
    strong_convexity = 1.0
    smoothness = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return x.square().flatten(1).sum(1) / 2

    def grad(self, x: Tensor) -> Tensor:
        return x

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return x / (1 + per_sample(step, x))

    def conjugate(self, p: Tensor) -> Tensor:
        return self(p)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("weight", [0.3, torch.tensor(0.3, dtype=torch.float64)])
def test_a_weight_scales_value_gradient_constants_and_conjugate(x: Tensor, weight: float | Tensor) -> None:
    weighted = weight * HalfSquare()
    torch.testing.assert_close(weighted(x), 0.15 * x.square().flatten(1).sum(1))
    torch.testing.assert_close(weighted.grad(x), 0.3 * x)
    torch.testing.assert_close(weighted.prox(x, 2.0), x / 1.6)
    conjugate = weighted.conjugate(x)
    assert conjugate is not None
    torch.testing.assert_close(conjugate, x.square().flatten(1).sum(1) / 0.6)
    assert weighted.strong_convexity == pytest.approx(0.3)
    assert weighted.smoothness_on(x) == pytest.approx(0.3)


@pytest.mark.parametrize("weight", [0.0, torch.tensor(0.0, dtype=torch.float64)])
def test_weight_zero_has_the_indicator_of_zero_as_conjugate(x: Tensor, weight: float | Tensor) -> None:
    point = x.clone()
    point[0] = 0
    conjugate = (weight * HalfSquare()).conjugate(point)
    assert conjugate is not None
    assert conjugate.tolist() == [0.0, float("inf"), float("inf")]
    assert not (weight * HalfSquare()).prox_conjugate(point, 0.5).any()


def test_a_learned_weight_reports_its_constants_without_a_warning(x: Tensor) -> None:
    weighted = nn.Parameter(torch.tensor(0.5, dtype=torch.float64)) * HalfSquare()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert weighted.strong_convexity == 0.5
        assert weighted.smoothness_on(x) == 0.5
        assert "0.5" in repr(weighted)


def test_a_sum_adds_and_loses_the_proximal_map(x: Tensor) -> None:
    total = HalfSquare() + 2 * HalfSquare()
    torch.testing.assert_close(total(x), 1.5 * x.square().flatten(1).sum(1))
    torch.testing.assert_close(total.grad(x), 3 * x)
    assert total.strong_convexity == 3
    assert total.capabilities == {"value", "grad"}
    with pytest.raises(CapabilityMissing, match="no prox"):
        total.prox(x, 1.0)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(InputError, match="≥ 0; got -1"):
        -1.0 * HalfSquare()


def test_a_class_that_promises_what_it_does_not_write_is_refused() -> None:
    with pytest.raises(TypeError, match=r"declares 'prox' but does not write prox\(\)"):

        class Promising(Regularizer):
            capabilities = frozenset({"prox"})


def test_the_lipschitz_constant_of_the_proximal_map_follows_convexity_and_weights(x: Tensor) -> None:
    """`‖prox(x) − prox(z)‖ ≤ ℓ ‖x − z‖`, sharp for a quadratic; nothing is known of what is not convex."""
    assert HalfSquare().prox_lipschitz(1.0) == pytest.approx(0.5)
    for regularizer in (3.0 * HalfSquare(), 3.0 * Sum([HalfSquare()])):
        for step in (0.5, torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)):
            constant = torch.as_tensor(regularizer.prox_lipschitz(step), dtype=torch.float64)
            moved = (regularizer.prox(x, step) - regularizer.prox(0 * x, step)).flatten(1).norm(dim=1)
            torch.testing.assert_close(moved, constant * x.flatten(1).norm(dim=1))

    class Bent(HalfSquare):
        """Claims no convexity."""

        convex = False

    assert Bent().prox_lipschitz(1.0) is None
    assert (0.5 * Bent()).prox_lipschitz(1.0) is None


def test_a_tensor_weight_is_one_nonnegative_number() -> None:
    with pytest.raises(InputError, match="one number; a tensor of shape"):
        torch.tensor([0.1, 1.0]) * HalfSquare()
    with pytest.raises(InputError, match="≥ 0; got -1"):
        HalfSquare() * torch.tensor(-1.0)
