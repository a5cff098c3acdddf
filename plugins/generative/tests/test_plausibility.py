"""A solution that the generative model would not make says so in its verdict."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import LinearOperator, Problem, Space, Stop, Verdict, component, solve
from wellposed.regularizer import Regularizer
from wellposed.testing.doubles import QuadraticFidelity, QuadraticRegularizer
from wellposed_generative.networks.vae_covariance import VaeCovariance
from wellposed_generative.regularizers.generative_gaussian import GenerativeGaussian


class Whole(LinearOperator):
    """All pixels, as they are."""

    def __init__(self) -> None:
        super().__init__(Space((1, 8, 8)), Space((1, 8, 8)))

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.clone()


@pytest.fixture
def model() -> VaeCovariance:
    return VaeCovariance((8, 8), latent=2, width=4).double()


def images(model: VaeCovariance, deviations: float) -> Tensor:
    """Two images so many standard deviations from a mean of the model, and one of its own samples."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        gaussian = model.given(torch.zeros((2, model.latent), dtype=torch.float64))
        white = torch.randn(gaussian.mean.shape, generator=generator, dtype=torch.float64).sign()
        far = gaussian.mean + deviations * gaussian.factor.solve_transpose(white)
        return torch.cat([far, model.sample(1, generator)])


@pytest.mark.parametrize(("deviations", "doubt"), [(1.0, False), (2.0, False), (3.6, True), (20.0, True)])
def test_images_are_implausible_from_three_deviations_on(model: VaeCovariance, deviations: float, doubt: bool) -> None:
    """3.6 deviations are 6.5 nats a pixel, 6 more than expected."""
    x, prior = images(model, deviations), GenerativeGaussian(model)
    assert prior.implausible(x).tolist() == [doubt, doubt, False]
    both: Regularizer = 0.3 * prior + QuadraticRegularizer(0.1)
    said = both.implausible(x)
    assert said is not None
    assert said.tolist() == [doubt, doubt, False]
    assert (0.0 * prior).implausible(x) is None
    assert QuadraticRegularizer(0.1).implausible(x) is None


def test_the_verdict_of_each_sample_tells(model: VaeCovariance) -> None:
    y = images(model, 20.0)
    problem = Problem(Whole(), y, QuadraticFidelity(), 1e-4 * GenerativeGaussian(model))
    solution = solve(problem, component("iterations", "variable-projection")(), stop=Stop(15), init=y)
    assert solution.verdict == (Verdict.IMPLAUSIBLE, Verdict.IMPLAUSIBLE, Verdict.COMPLETED)
    assert not Verdict.IMPLAUSIBLE.ok
