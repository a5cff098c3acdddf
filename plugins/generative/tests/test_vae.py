"""The autoencoder and its covariances."""

from __future__ import annotations

import math

import pytest
import torch

from wellposed.errors import CompositionError, InputError, ShapeError
from wellposed.recipes import build
from wellposed_generative.networks.diagonal_covariance import DiagonalCovariance
from wellposed_generative.networks.identity_covariance import IdentityCovariance
from wellposed_generative.networks.sparse_cholesky import SparseCholesky
from wellposed_generative.networks.vae_covariance import VaeCovariance


def small(**settings: object) -> VaeCovariance:
    return VaeCovariance((16, 16), latent=3, width=4, **settings).double().eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("covariance", [SparseCholesky(1), DiagonalCovariance(), IdentityCovariance()])
def test_an_untrained_model_begins_near_a_multiple_of_the_identity(covariance: torch.nn.Module) -> None:
    model = small(covariance=covariance)
    g = torch.Generator().manual_seed(0)
    factor = model.factor(torch.randn(2, 3, dtype=torch.float64, generator=g))
    v = torch.randn(2, 1, 16, 16, dtype=torch.float64, generator=g)
    assert float((factor.transpose(v) - v / 0.1).norm() / (v / 0.1).norm()) < 0.02
    assert torch.allclose(factor.log_diagonal, torch.full_like(v, -math.log(0.1)), atol=0.05)


def test_sparse_cholesky_of_radius_0_is_the_diagonal_covariance() -> None:
    raw = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    first, second = SparseCholesky(radius=0).factor(raw), DiagonalCovariance().factor(raw)
    assert torch.equal(first.log_diagonal, second.log_diagonal)
    assert first.neighbours is None


def test_standard_deviations_are_bounded_below() -> None:
    raw = torch.full((1, 13, 4, 4), 50.0)
    assert float(SparseCholesky(2, least_std=0.02).factor(raw).diagonal.max()) <= 50.0 * (1 + 1e-6)
    assert float(DiagonalCovariance(least_std=0.02).factor(raw[:, :1]).diagonal.max()) <= 50.0 * (1 + 1e-6)
    identity = IdentityCovariance(least_std=0.02)
    torch.nn.init.constant_(identity.excess, -80.0)
    assert float(identity.factor(raw).diagonal.detach().max()) <= 50.0 * (1 + 1e-6)


def test_samples_follow_the_model() -> None:
    """Mean and covariance of many draws at one `z` against the factor's; the whole model draws repeatably."""
    model = small()
    images = model.sample(4, torch.Generator().manual_seed(1))
    assert torch.equal(images, model.sample(4, torch.Generator().manual_seed(1)))
    assert images.shape == (4, 1, 16, 16)
    z = torch.zeros(4000, 3, dtype=torch.float64)
    draws = model.factor(z).sample(torch.Generator().manual_seed(2))
    white = model.factor(z).transpose(draws)
    assert float(white.mean()) == pytest.approx(0.0, abs=5 / white.numel() ** 0.5)
    assert float(white.var()) == pytest.approx(1.0, abs=5 * (2 / white.numel()) ** 0.5)


def test_a_model_takes_over_the_mean_of_another() -> None:
    first = small(seed=1)
    second = small(covariance=DiagonalCovariance(), mean=first)
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    assert torch.equal(first(x), second(x))
    with pytest.raises(CompositionError, match="other sizes"):
        VaeCovariance((16, 16), latent=4, width=4, mean=first)


def test_real_and_two_channels_from_recipes() -> None:
    node = {"use": "vae-covariance", "shape": [12, 20], "latent": 2, "width": 4, "channels": 2}
    model = build("networks", {**node, "covariance": {"use": "sparse-cholesky", "radius": 1, "channels": 2}})
    x = torch.rand(3, 2, 12, 20)
    assert model.eval()(x).shape == x.shape
    assert model.factor(torch.zeros(3, 2)).cross.shape == (3, 1, 12, 20)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: VaeCovariance((15, 16)), "even number of rows"),
        (lambda: VaeCovariance((16, 16), latent=0), "latent ≥ 1"),
        (lambda: VaeCovariance((16, 16), channels=2, covariance=SparseCholesky()), "2 channels"),
        (lambda: SparseCholesky(radius=-1), "radius ≥ 0"),
        (lambda: DiagonalCovariance(least_std=0.5, initial_std=0.1), "least_std < initial_std"),
    ],
)
def test_what_makes_no_model_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()  # type: ignore[operator]


def test_wrong_shapes_are_refused() -> None:
    model = small()
    with pytest.raises(ShapeError, match="images of shape"):
        model(torch.zeros(1, 1, 8, 16, dtype=torch.float64))
    with pytest.raises(ShapeError, match="latent vectors"):
        model.mean(torch.zeros(1, 4, dtype=torch.float64))
