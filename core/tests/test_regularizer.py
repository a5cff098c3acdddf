"""The algebra of regularizers: weights, sums, and what they promise."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from wellposed import InputError, Regularizer
from wellposed.errors import CapabilityMissing
from wellposed.regularizer import Sum, Zero
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


def test_the_indicator_of_zero_looks_at_every_entry(x: Tensor) -> None:
    """A point with one entry that is not 0 lies outside, however many others are 0."""
    point = torch.zeros_like(x)
    point[1, 0, 2, 3] = 1e-9
    for weight in (0.0, torch.tensor(0.0, dtype=torch.float64)):
        conjugate = (weight * HalfSquare()).conjugate(point)
        assert conjugate is not None
        assert conjugate.tolist() == [0.0, float("inf"), 0.0]


class Magnitude(Regularizer):
    """`Σ|x|`: a proximal map, and a dual ball."""

    source = "closed form"
    capabilities = frozenset({"value", "prox"})
    convex = True

    def forward(self, x: Tensor) -> Tensor:
        return x.abs().flatten(1).sum(1)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return torch.sgn(x) * (x.abs() - per_sample(step, x)).clamp_min(0)


STEPS = [0.7, torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)]


@pytest.mark.parametrize("step", STEPS, ids=["number", "per sample"])
@pytest.mark.parametrize("weight", [0.3, 2.0, torch.tensor(0.3, dtype=torch.float64)])
def test_the_conjugate_of_a_weighted_norm_projects_onto_a_ball(
    x: Tensor, weight: float | Tensor, step: float | Tensor
) -> None:
    """`R* = ` the indicator of `|p| ≤ w`, whatever the step; from Moreau's identity in the base class."""
    projected = (weight * Magnitude()).prox_conjugate(3 * x, step)
    torch.testing.assert_close(projected, (3 * x).clamp(-float(weight), float(weight)))


def test_terms_of_a_sum_are_split_each_with_its_weight(x: Tensor) -> None:
    total = 0.5 * (Magnitude() + 3.0 * Magnitude()) + Zero()
    terms = total.split()
    assert [float(t.functional(x)[0] / Magnitude()(x)[0]) for t in terms] == pytest.approx([0.5, 1.5])
    assert all(t.analysis is None for t in terms)
    torch.testing.assert_close(total(x), 2 * Magnitude()(x))
    assert Zero().split() == []
    assert len((Magnitude() + (Magnitude() + Magnitude())).terms) == 3


def test_a_sum_promises_what_all_of_its_terms_promise(x: Tensor) -> None:
    class Bent(HalfSquare):
        convex = False
        invariances = frozenset({"translation", "c4"})

    class Turned(HalfSquare):
        invariances = frozenset({"c4", "d4"})
        smoothness = None

    assert not (HalfSquare() + Bent()).convex
    assert not (Bent() + HalfSquare()).convex
    assert (HalfSquare() + HalfSquare()).convex
    assert (Bent() + Turned()).invariances == {"c4"}
    assert (HalfSquare() + 2 * HalfSquare()).smoothness_on(x) == 3.0
    assert (HalfSquare() + Turned()).smoothness_on(x) is None
    assert (2 * Turned()).smoothness_on(x) is None
    assert (HalfSquare() + Magnitude()).capabilities == {"value"}
    assert Sum([HalfSquare()]).capabilities == {"value", "grad", "prox"}
    assert (HalfSquare() + HalfSquare()).prox_lipschitz(1.0) == pytest.approx(1 / 3)
    assert (Bent() + Turned()).prox_lipschitz(1.0) is None
    with pytest.raises(InputError, match="at least one term"):
        Sum([])


def test_what_is_not_declared_is_missing_by_name(x: Tensor) -> None:
    class Nothing(Regularizer):
        source = "none"

    for call in (lambda r: r(x), lambda r: r.grad(x), lambda r: r.prox(x, 1.0), lambda r: r.split()):
        with pytest.raises(CapabilityMissing, match=r"Nothing has no .*; it declares nothing"):
            call(Nothing())
    with pytest.raises(CapabilityMissing, match="Magnitude has no grad; it declares prox, value"):
        Magnitude().grad(x)
    assert Magnitude().conjugate(x) is None
    assert (0.5 * Magnitude()).conjugate(x) is None
    for capabilities in (frozenset({"size"}), frozenset({"value"})):
        with pytest.raises(TypeError, match=r"unknown capability 'size'|does not write forward"):
            type("Promising", (Regularizer,), {"capabilities": capabilities})


def test_a_gradient_by_autograd_keeps_its_graph_only_where_asked(x: Tensor) -> None:
    class Cube(Regularizer):
        source = "closed form"
        capabilities = frozenset({"value", "grad"})

        def __init__(self, learned: bool) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64), requires_grad=learned)

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * x.pow(3).flatten(1).sum(1)

    fixed, learned = Cube(False), Cube(True)
    torch.testing.assert_close(fixed.grad(x), 6 * x.square())
    assert not fixed.grad(x).requires_grad
    assert not x.requires_grad
    learned.grad(x).sum().backward()
    torch.testing.assert_close(learned.scale.grad, 3 * x.square().sum())
    point = x.clone().requires_grad_()
    (second,) = torch.autograd.grad(fixed.grad(point).sum(), point)
    torch.testing.assert_close(second, 12 * x)


def test_zero_is_nothing(x: Tensor) -> None:
    zero = Zero()
    assert zero(x).tolist() == [0.0, 0.0, 0.0]
    assert zero(x.to(torch.complex128)).dtype == torch.float64
    assert torch.equal(zero.grad(x), torch.zeros_like(x))
    assert zero.prox(x, 2.0) is x
    assert (zero.convex, zero.smoothness, zero.strong_convexity) == (True, 0.0, 0.0)
    assert zero.invariances == {"translation", "d4"}


def test_one_learned_parameter_beside_a_frozen_one_gets_its_gradient(x: Tensor) -> None:
    class Line(Regularizer):
        source = "closed form"
        capabilities = frozenset({"value", "grad"})

        def __init__(self) -> None:
            super().__init__()
            self.fixed = nn.Parameter(torch.tensor(2.0, dtype=torch.float64), requires_grad=False)
            self.learned = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return self.fixed * self.learned * x.square().flatten(1).sum(1)

    line = Line()
    line.grad(x).sum().backward()
    torch.testing.assert_close(line.learned.grad, 4 * x.sum())
