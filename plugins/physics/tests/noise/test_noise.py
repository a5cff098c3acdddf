"""Noise: moments against the stated law, the same draws for the same generator, the paired likelihoods."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.noise import Noise
from wellposed_physics.fidelities.kullback_leibler import KullbackLeibler
from wellposed_physics.fidelities.l1 import L1
from wellposed_physics.fidelities.l2 import L2
from wellposed_physics.fidelities.transmission import Transmission
from wellposed_physics.noise.gaussian import GaussianNoise
from wellposed_physics.noise.laplace import LaplaceNoise
from wellposed_physics.noise.poisson import PoissonNoise
from wellposed_physics.noise.transmission import TransmissionNoise

N = 200_000
NOISES = {
    "gaussian": GaussianNoise(0.3),
    "relative": GaussianNoise(0.05, "mean-abs"),
    "poisson": PoissonNoise(20.0),
    "transmission": TransmissionNoise(1e4),
    "laplace": LaplaceNoise(0.2),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(noise: Noise, v: Tensor, seed: int = 0) -> Tensor:
    return noise(v, seeded(seed))


@pytest.mark.parametrize("name", NOISES)
def test_shape_precision_and_draws_are_those_of_the_generator(name: str) -> None:
    v = torch.rand((2, 1, 6, 7), generator=seeded(5))
    kept = v.clone()
    noise = NOISES[name]
    y = drawn(noise, v)
    assert y.shape == v.shape
    assert y.dtype == v.dtype
    assert torch.equal(y, drawn(noise, v))
    assert not torch.equal(y, drawn(noise, v, seed=1))
    assert torch.equal(v, kept)
    assert drawn(noise, v.double()).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gaussian_has_its_standard_deviation_in_every_real_component(dtype: torch.dtype) -> None:
    v = torch.full((2, N), 2.0, dtype=dtype)
    v[1] *= 10
    error = drawn(GaussianNoise(0.3), v) - v
    parts = torch.view_as_real(error) if dtype.is_complex else error[..., None]
    torch.testing.assert_close(parts.std(1), torch.full_like(parts[:, 0], 0.3), rtol=0.01, atol=0)
    assert float(parts.mean(1).abs().max()) < 0.005
    relative = drawn(GaussianNoise(0.05, "mean-abs"), v) - v
    parts = torch.view_as_real(relative) if dtype.is_complex else relative[..., None]
    expected = torch.tensor([[0.1], [1.0]], dtype=torch.float64).expand(2, parts.shape[-1])
    torch.testing.assert_close(parts.std(1), expected, rtol=0.01, atol=0)


def test_relative_noise_is_relative_to_each_samples_mean_magnitude() -> None:
    v = torch.tensor([[1.0, -3.0, 0.0, 0.0]])
    once = drawn(GaussianNoise(1.0), v) - v
    torch.testing.assert_close(drawn(GaussianNoise(0.5, "mean-abs"), v) - v, 0.5 * 1.0 * once)


def test_poisson_has_mean_v_and_variance_v_over_gain() -> None:
    v = torch.full((1, N), 3.0, dtype=torch.float64)
    y = drawn(PoissonNoise(20.0), v)
    assert float(y.mean()) == pytest.approx(3.0, rel=2e-3)
    assert float(y.var()) == pytest.approx(3.0 / 20, rel=2e-2)
    torch.testing.assert_close(y * 20, (y * 20).round())


def test_transmission_counts_are_poisson_after_the_object() -> None:
    v = torch.full((1, N), 1.5, dtype=torch.float64)
    for background in (0.0, 50.0):
        y = drawn(TransmissionNoise(1e4, background), v)
        counts = 1e4 * torch.exp(-y) + background
        mean = 1e4 * math.exp(-1.5) + background
        assert float(counts.mean()) == pytest.approx(mean, rel=1e-3)
        assert float(counts.var()) == pytest.approx(mean, rel=2e-2)


def test_starved_bins_count_one_photon() -> None:
    y = drawn(TransmissionNoise(10.0), torch.full((1, 100), 50.0, dtype=torch.float64))
    torch.testing.assert_close(y, torch.full_like(y, math.log(10)))


def test_laplace_has_its_density_real_and_complex() -> None:
    v = torch.zeros(1, N, dtype=torch.float64)
    modulus = drawn(LaplaceNoise(0.2), v).abs()
    assert float(modulus.mean()) == pytest.approx(0.2, rel=1e-2)
    assert float(modulus.var()) == pytest.approx(0.04, rel=3e-2)  # |e| is exponential
    z = drawn(LaplaceNoise(0.2), v.to(torch.complex128))
    assert float(z.abs().mean()) == pytest.approx(0.4, rel=1e-2)  # |e| is a sum of two exponentials
    assert float(z.abs().square().mean()) == pytest.approx(6 * 0.04, rel=3e-2)
    assert abs(complex((z / z.abs()).mean())) < 0.01


def test_paired_fidelities_are_the_negative_log_likelihoods() -> None:
    v, w = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([[1.5, 0.7]], dtype=torch.float64)
    y = torch.tensor([[1.2, 2.5]], dtype=torch.float64)

    def likelihood_ratio(noise: Noise, log_density: object) -> None:
        fidelity = noise.fidelity()
        expected = -(log_density(v) - log_density(w)).sum(1)  # type: ignore[operator]
        torch.testing.assert_close(fidelity(v, y) - fidelity(w, y), expected)

    likelihood_ratio(GaussianNoise(0.3), lambda m: torch.distributions.Normal(m, 0.3).log_prob(y))
    likelihood_ratio(LaplaceNoise(0.3), lambda m: torch.distributions.Laplace(m, 0.3).log_prob(y))
    likelihood_ratio(PoissonNoise(20.0), lambda m: torch.distributions.Poisson(20 * m).log_prob((20 * y).round()))
    n = 1000 * torch.exp(-y)
    likelihood_ratio(TransmissionNoise(1000.0), lambda m: n * torch.log(1000 * torch.exp(-m)) - 1000 * torch.exp(-m))
    assert isinstance(GaussianNoise(0.3).fidelity(), L2)
    assert isinstance(LaplaceNoise(0.3).fidelity(), L1)
    assert isinstance(PoissonNoise().fidelity(), KullbackLeibler)
    assert isinstance(TransmissionNoise(10.0).fidelity(), Transmission)
    # Where the variance is not known before the data, the likelihood is so up to a factor.
    for noise in (GaussianNoise(0.0), GaussianNoise(0.05, "mean-abs")):
        fidelity = noise.fidelity()
        torch.testing.assert_close(fidelity(v, y), 0.5 * (v - y).square().sum(1))


def test_bad_input_is_told() -> None:
    for make in (
        lambda: GaussianNoise(-0.1),
        lambda: GaussianNoise(float("nan")),
        lambda: PoissonNoise(0.0),
        lambda: TransmissionNoise(0.0),
        lambda: TransmissionNoise(10.0, -1.0),
        lambda: LaplaceNoise(0.0),
    ):
        with pytest.raises(InputError, match="was given"):
            make()
    with pytest.raises(InputError, match=r"the smallest is -1"):
        drawn(PoissonNoise(), torch.tensor([[1.0, -1.0]]))
    drawn(PoissonNoise(), torch.tensor([[1.0, -1e-7]]))  # rounding of an operator
    for noise in (PoissonNoise(), TransmissionNoise(10.0)):
        with pytest.raises(InputError, match="complex"):
            drawn(noise, torch.ones(1, 2, dtype=torch.complex64))
