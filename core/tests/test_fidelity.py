"""What a fidelity inherits: Moreau's identity in both directions, derivatives by autograd, honest defaults."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed.errors import CapabilityMissing
from wellposed.fidelity import Fidelity, Unstated
from wellposed.space import per_sample

WEIGHT = 3.0


class Square(Fidelity):
    """`w/2 ‖v − y‖²` with `w = 3`, by its value alone."""

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return WEIGHT / 2 * (v - y).square().flatten(1).sum(1)


class ByProx(Square):
    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        s = WEIGHT * per_sample(step, v)
        return (v + s * y) / (1 + s)


class ByConjugate(Square):
    """`D*(p) = ‖p‖²/2w + <p, y>`, so `prox_{sD*}(v) = (v − s y)/(1 + s/w)`."""

    def prox_conjugate(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        s = per_sample(step, v)
        return (v - s * y) / (1 + s / WEIGHT)


@pytest.fixture
def points() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    v, y = (torch.randn(3, 2, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    return v, y


STEPS = [0.7, torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)]


@pytest.mark.parametrize("step", STEPS, ids=["number", "per sample"])
def test_each_proximal_map_follows_from_the_other(points: tuple[Tensor, Tensor], step: float | Tensor) -> None:
    v, y = points
    torch.testing.assert_close(ByConjugate().prox(v, y, step), ByProx().prox(v, y, step))
    torch.testing.assert_close(ByProx().prox_conjugate(v, y, step), ByConjugate().prox_conjugate(v, y, step))


def test_without_either_the_class_is_named(points: tuple[Tensor, Tensor]) -> None:
    for name in ("prox", "prox_conjugate"):
        with pytest.raises(NotImplementedError, match="Square implements neither prox nor prox_conjugate"):
            getattr(Square(), name)(*points, 1.0)


def test_the_gradient_is_that_of_the_value_and_has_one_itself_where_asked(points: tuple[Tensor, Tensor]) -> None:
    v, y = points
    with torch.no_grad():
        gradient = Square().gradient(v, y)
    torch.testing.assert_close(gradient, WEIGHT * (v - y))
    assert not gradient.requires_grad
    assert not v.requires_grad
    for taped in (v, y):
        taped.requires_grad_()
        (second,) = torch.autograd.grad(Square().gradient(v, y).sum(), taped)
        torch.testing.assert_close(second, torch.full_like(v, WEIGHT if taped is v else -WEIGHT))
        taped.requires_grad_(False)


def test_what_is_not_known_is_not_claimed(points: tuple[Tensor, Tensor]) -> None:
    v, y = points
    fidelity = Square()
    assert fidelity.conjugate(v, y) is None
    assert fidelity.smoothness(y) is None
    assert fidelity.strong_convexity(y) == 0.0
    assert fidelity.convex
    assert fidelity.smooth_everywhere
    assert fidelity.take(torch.tensor([0])) is fidelity
    fidelity.check(torch.full_like(y, torch.nan))
    with pytest.raises(NotImplementedError):
        Fidelity()(v, y)
    with pytest.raises(CapabilityMissing, match="states no fidelity"):
        Unstated()(v, y)
