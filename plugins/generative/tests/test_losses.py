"""The losses of both trainers against their formulas, with the draws written out."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from wellposed.errors import InputError
from wellposed.testing.doubles import Bumps
from wellposed_generative.networks.diagonal_covariance import DiagonalCovariance
from wellposed_generative.networks.diffusion_prior import DiffusionPrior, linear_schedule
from wellposed_generative.networks.vae_covariance import VaeCovariance
from wellposed_generative.trainers.cosine import Cosine
from wellposed_generative.trainers.denoising_score import DenoisingScore, Score
from wellposed_generative.trainers.doubles import OneLayer
from wellposed_generative.trainers.elbo import Bound, Elbo

COSINE = Cosine((4, 6), 0.2, (0.9, 0.99))
BETA = 0.7
LATENT = 3


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def model() -> VaeCovariance:
    return VaeCovariance((8, 8), latent=LATENT, width=4, covariance=DiagonalCovariance()).double()


def drawn(model: VaeCovariance, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, deviation and draw of `q(z|u)`, with the numbers that the loss draws after `manual_seed(1)`."""
    mean, log_std = model.encode(images)
    torch.manual_seed(1)
    return mean, log_std.exp(), mean + log_std.exp() * torch.randn_like(mean)


def divergence(mean: Tensor, std: Tensor) -> Tensor:
    normal = torch.distributions.Normal(mean, std)
    return torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1)


def test_the_first_phase_is_the_bound_at_the_best_single_variance(model: VaeCovariance, images: Tensor) -> None:
    """`(n/2 log 2π e s² + β KL)/n` with `s²` the mean square residual."""
    mean, std, z = drawn(model, images)
    residual = images - model.mean(z)
    torch.manual_seed(1)
    found = Bound(model, COSINE, 0.0, BETA).loss(images, step=3)
    kl = divergence(mean, std).mean()
    best = 0.5 * torch.log(2 * math.pi * math.e * residual.square().mean())
    torch.testing.assert_close(found["loss"], best + BETA * kl / 64)
    torch.testing.assert_close(found["divergence"], kl)
    torch.testing.assert_close(found["error"], residual.square().mean().sqrt())


def test_the_second_phase_is_minus_the_density_of_the_image(model: VaeCovariance, images: Tensor) -> None:
    """`(−log N(u; μ(z), Σ(z)) + β KL)/n`, with the density of a diagonal Gaussian from torch."""
    with torch.no_grad():
        nn.init.normal_(model.covariance_decoder[-2].weight, std=0.5)  # type: ignore[index]
    mean, std, z = drawn(model, images)
    scale = 1 / model.factor(z).diagonal.detach()
    assert float(scale.max() / scale.min()) > 1.5
    density = torch.distributions.Normal(model.mean(z), scale).log_prob(images).flatten(1).sum(1)
    torch.manual_seed(1)
    found = Bound(model, COSINE, 0.0, BETA).loss(images, step=4)
    expected = (-density.mean() + BETA * divergence(mean, std).mean()) / 64
    torch.testing.assert_close(found["loss"], expected)


def test_the_mean_of_a_measure_over_samples_is_the_loss(model: VaeCovariance, images: Tensor) -> None:
    course = Bound(model, COSINE, 0.0, BETA)
    torch.manual_seed(1)
    expected = course.loss(images, 5)["loss"]
    torch.manual_seed(1)
    torch.testing.assert_close(course.measure(images, 5) / len(images), expected[None])


def test_learning_rates_of_both_phases(model: VaeCovariance) -> None:
    course = Bound(model, COSINE, 0.25, BETA)
    rates = [course.rates(step) for step in range(10)]
    first = [0.1 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    second = [0.1 * (1 + math.cos(math.pi * k / 6)) for k in range(6)]
    assert rates[:4] == [[pytest.approx(r), 0.0] for r in first]
    assert rates[4:] == [[pytest.approx(0.25 * r), pytest.approx(r)] for r in second]
    mean, covariance = course.groups()
    of_mean = {id(p) for part in (model.encoder, model.mean_decoder) for p in part.parameters()}
    assert {id(p) for p in mean} == of_mean
    assert {id(p) for p in covariance} == {id(p) for p in model.covariance_decoder.parameters()}  # type: ignore[union-attr]


@pytest.mark.parametrize("numbers", [{"mean_rate": -0.1}, {"beta": -0.1}])
def test_negative_weights_are_refused_and_zero_is_not(numbers: dict) -> None:
    with pytest.raises(InputError, match="mean_rate and beta ≥ 0"):
        Elbo(1, 1, **numbers)
    Elbo(1, 1, **dict.fromkeys(numbers, 0.0))


class Linear(DiffusionPrior):
    """Estimates the noise as `a·u + t/T`: depends on the time of each sample; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__((4, 4), 1, linear_schedule(20), 0.4, 0.25, 0.1)
        self.a = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
        self.given: list[tuple[Tensor, Tensor]] = []

    def noise(self, u: Tensor, t: int | Tensor) -> Tensor:
        time = torch.as_tensor(t)
        self.given.append((u, time))
        return self.a * u + (time / 20).reshape(-1, 1, 1, 1)


def test_the_score_loss_is_the_error_of_the_noise_at_times_of_each_sample() -> None:
    """`mean ‖ε − ε_θ(√ᾱ_t u + √(1−ᾱ_t) ε, t)‖²` per pixel, with `u = (x − center)/scale`."""
    prior = Linear()
    x = torch.rand(400, 1, 4, 4, dtype=torch.float64)
    torch.manual_seed(5)
    found = Score(prior, COSINE).loss(x, 0)["loss"]
    torch.manual_seed(5)
    t = torch.randint(20, (400,))
    noise = torch.randn_like(x)
    alpha = prior.alphas[t].reshape(-1, 1, 1, 1)
    noisy = alpha.sqrt() * (x - 0.4) / 0.25 + (1 - alpha).sqrt() * noise
    given, times = prior.given[-1]
    assert set(times.tolist()) == set(range(20))
    torch.testing.assert_close(given, noisy)
    error = 0.3 * noisy + (t / 20).reshape(-1, 1, 1, 1) - noise
    torch.testing.assert_close(found, error.square().mean())
    torch.manual_seed(5)
    torch.testing.assert_close(Score(prior, COSINE).measure(x, 0) / 400, found[None])


def test_images_are_scaled_and_back() -> None:
    prior = Linear()
    x = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(prior.scaled(x), (x - 0.4) / 0.25)
    torch.testing.assert_close(prior.image(prior.scaled(x)), x)
    torch.testing.assert_close(prior.deviation(), 0.25 * ((1 - prior.alphas) / prior.alphas).sqrt())


def test_tweedie_inverts_the_noising_where_the_noise_is_known() -> None:
    class Known(Linear):
        def noise(self, u: Tensor, t: int | Tensor) -> Tensor:
            return self.truth

    prior, u = Known(), torch.rand(2, 1, 4, 4, dtype=torch.float64)
    prior.truth = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    for t in (0, 11, 19):
        alpha = prior.alphas[t]
        noisy = alpha.sqrt() * u + (1 - alpha).sqrt() * prior.truth
        torch.testing.assert_close(prior.clean(noisy, t), u)


@pytest.mark.parametrize("steps", [3, 5])
def test_as_many_steps_as_asked_for_are_done_and_told(tmp_path: Path, steps: int) -> None:
    fitted = DenoisingScore(steps, batch=2, log_every=1).fit(OneLayer((8, 8)), Bumps(), tmp_path / "score")
    assert fitted.steps == steps
    assert len((tmp_path / "score" / "metrics.jsonl").read_text().splitlines()) == steps
    fitted = Elbo(1, steps, batch=2, log_every=1).fit(VaeCovariance((8, 8), latent=2, width=4), Bumps(), tmp_path / "e")
    assert fitted.steps == steps + 1
    assert len((tmp_path / "e" / "metrics.jsonl").read_text().splitlines()) == steps + 1


def test_the_linear_schedule_is_that_of_ho_et_al_at_any_length() -> None:
    """β from 1e-4 to 0.02 in 1000 steps; 20 steps rise fifty times as fast, to β below 1."""
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(linear_schedule(1000), torch.cumprod(1 - beta, 0))
    short = linear_schedule(20)
    ratios = 1 - short[1:] / short[:-1]
    torch.testing.assert_close(1 - short[0], torch.tensor(5e-3, dtype=torch.float64))
    assert float(ratios.max()) == pytest.approx(0.999)
    torch.testing.assert_close(ratios[0], 50 * (1e-4 + (0.02 - 1e-4) / 19 * torch.ones((), dtype=torch.float64)))
    with pytest.raises(InputError, match="at least 20 steps; 19"):
        linear_schedule(19)


@pytest.mark.parametrize(("scale", "noise_level"), [(0.0, 0.1), (-1.0, 0.1), (0.5, 0.0), (0.5, -0.1)])
def test_scale_and_noise_level_are_positive(scale: float, noise_level: float) -> None:
    with pytest.raises(InputError, match="scale and noise_level > 0"):
        DiffusionPrior((4, 4), 1, linear_schedule(20), 0.5, scale, noise_level)
