"""Latent vectors of the wrong shape, noise levels, schedules of diffusers, and the sizes of the autoencoder."""

from __future__ import annotations

import pytest
import torch

from wellposed.dataset import Dataset, Sample, generator_of
from wellposed.errors import CompositionError, InputError, ShapeError
from wellposed.problem import Problem
from wellposed.testing.doubles import PeriodicBlur, QuadraticFidelity
from wellposed_generative.images import as_channels, from_channels, load_images
from wellposed_generative.iterations.diffpir_steps import DiffPirSteps
from wellposed_generative.iterations.variable_projection import VariableProjection
from wellposed_generative.networks.diffusion import Diffusion
from wellposed_generative.networks.gaussian_diffusion import GaussianDiffusion
from wellposed_generative.networks.vae_covariance import VaeCovariance
from wellposed_generative.solvers.diffpir import DiffPir, noise_levels
from wellposed_generative.trainers.cosine import Cosine


@pytest.mark.parametrize("shape", [(2, 3), (2,), (2, 4, 1)])
def test_latent_vectors_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    model = VaeCovariance((8, 8), latent=4, width=4)
    for call in (model.mean, model.factor, model.given):
        with pytest.raises(ShapeError, match=r"takes latent vectors \(batch, 4\)"):
            call(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"latent": 0}, "latent ≥ 1"),
        ({"width": 0}, "width ≥ 1"),
        ({"channels": 0}, "channels ≥ 1"),
        ({"shape": (7, 8)}, "an even number of rows and columns, at least 6"),
        ({"shape": (8, 4)}, "an even number of rows and columns, at least 6"),
        ({"shape": (8, 8, 8)}, "an even number of rows and columns"),
    ],
)
def test_sizes_that_make_no_autoencoder(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        VaeCovariance(**{"shape": (8, 8), "latent": 1, "width": 1, **arguments})


def test_the_mean_of_another_model_is_taken_over_where_it_fits() -> None:
    first = VaeCovariance((8, 8), latent=2, width=4, seed=3)
    second = VaeCovariance((8, 8), latent=2, width=4, mean=first)
    z = torch.randn(2, 2)
    torch.testing.assert_close(second.mean(z), first.mean(z))
    u = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(second.encode(u), first.encode(u))
    with pytest.raises(CompositionError, match="a model of other sizes"):
        VaeCovariance((8, 8), latent=3, width=4, mean=first)
    smallest = VaeCovariance((6, 6), latent=1, width=1, channels=2)
    assert smallest.mean(torch.zeros(1, 1)).shape == (1, 2, 6, 6)


def test_spreads_of_the_encoder_are_limited_on_both_sides() -> None:
    model = VaeCovariance((8, 8), latent=2, width=4)
    last = model.encoder[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias[2:] = torch.tensor([100.0, -100.0])
    _, log_std = model.encode(torch.zeros(1, 1, 8, 8))
    assert log_std.tolist() == [[4.0, -8.0]]


@pytest.mark.parametrize("length", [20, 50, 1000])
@pytest.mark.parametrize("steps", [2, 5, 10, 20])
def test_levels_are_evenly_spread_in_time_or_in_its_root(length: int, steps: int) -> None:
    uniform, quad = noise_levels(length, steps, "uniform"), noise_levels(length, steps, "quad")
    top = length - 1
    assert [*uniform] == [round(top * k / (steps - 1)) for k in range(steps - 1, -1, -1)]
    wanted = [round(top * (k / (steps - 1)) ** 2) for k in range(steps)]
    found = list(reversed(quad))
    assert all(a >= b for a, b in zip(found, wanted, strict=True))
    # As soon as the wanted levels are further apart than one, they are taken as they are.
    free = [k for k in range(1, steps) if wanted[k] > found[k - 1]]
    assert all(found[k] == wanted[k] for k in free)
    assert all(found[k] == found[k - 1] + 1 for k in range(1, steps) if k not in free)
    assert found[0] == 0
    assert noise_levels(length, 1, "quad") == (top,)


def test_levels_where_every_time_is_taken() -> None:
    assert noise_levels(5, 5, "quad") == (4, 3, 2, 1, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "1 to 1000 steps"),
        ({"steps": 1001}, "1 to 1000 steps"),
        ({"strength": 0.0}, "strength > 0"),
        ({"renewal": -0.1}, "renewal in"),
        ({"renewal": 1.1}, "renewal in"),
        ({"prior_std": 0.0}, "prior_std > 0"),
    ],
)
def test_samplers_with_numbers_out_of_range(settings: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        DiffPir(GaussianDiffusion((8, 8)), QuadraticFidelity(), **settings)
    DiffPir(GaussianDiffusion((8, 8)), QuadraticFidelity(), steps=1000, renewal=1.0)


@pytest.mark.parametrize("steps", [20, 200, 1000])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
def test_schedules_rise_as_much_as_the_usual_one_whatever_their_length(steps: int, schedule: str) -> None:
    """β from `1e-4·1000/T` to `0.02·1000/T`, at most 0.999, evenly or evenly in its root."""
    pytest.importorskip("diffusers")
    alphas = Diffusion((8, 8), widths=(8,), steps=steps, schedule=schedule).alphas  # type: ignore[arg-type]
    low, high = 1e-4 * 1000 / steps, min(0.02 * 1000 / steps, 0.999)
    if schedule == "linear":
        betas = torch.linspace(low, high, steps, dtype=torch.float64)
    else:
        betas = torch.linspace(low**0.5, high**0.5, steps, dtype=torch.float64) ** 2
    torch.testing.assert_close(alphas, torch.cumprod(1 - betas, 0), rtol=2e-3, atol=1e-7)


def test_a_network_takes_one_time_for_all_or_one_for_each() -> None:
    pytest.importorskip("diffusers")
    prior = Diffusion((8, 8), widths=(8,), steps=20).eval()
    u = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        each = prior.noise(u, torch.tensor([3, 17]))
        torch.testing.assert_close(each[:1], prior.noise(u[:1], 3))
        torch.testing.assert_close(each[1:], prior.noise(u[1:], 17))
    assert not torch.allclose(prior.noise(u, 3), prior.noise(u, 17))


def test_the_gaussian_model_takes_one_time_for_each_sample() -> None:
    prior = GaussianDiffusion((4, 4), steps=20).double()
    u = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    each = prior.noise(u, torch.tensor([3, 17]))
    for i, t in enumerate((3, 17)):
        torch.testing.assert_close(each[i], (1 - prior.alphas[t]).sqrt() * u[i])
    for std in (0.0, -1.0):
        with pytest.raises(InputError, match="std > 0"):
            GaussianDiffusion(std=std)


def test_complex_images_as_channels_and_back() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.complex128)
    assert as_channels(x).shape == (2, 6, 4, 4)
    assert torch.equal(as_channels(x)[:, :3], x.real)
    assert torch.equal(from_channels(as_channels(x), x), x)
    assert from_channels(x.real, x.real) is x.real or torch.equal(from_channels(x.real, x.real), x.real)


def test_images_are_loaded_in_the_precision_of_the_network() -> None:
    from wellposed.testing.doubles import Bumps

    found = load_images(Bumps(count=4), [2, 0], torch.zeros(1, dtype=torch.float64))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.stack([Bumps(count=4)[i].truth for i in (2, 0)]).double())


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (((-1, 3), 0.1, (0.9, 0.99)), "number of steps must be at least 0"),
        (((3,), 0.0, (0.9, 0.99)), "learning_rate must be positive"),
        (((3,), 0.1, (1.0, 0.99)), r"betas must be in \[0, 1\)"),
        (((3,), 0.1, (0.9, -0.1)), r"betas must be in \[0, 1\)"),
    ],
)
def test_learning_rates_that_make_no_training(numbers: tuple, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Cosine(*numbers)
    assert Cosine((0, 3), 0.1, (0.0, 0.0)).steps == 3


def test_a_sampler_begins_with_the_noise_of_its_first_level() -> None:
    """`√ᾱ_t u + √(1−ᾱ_t) n`, at a level where neither part is small."""
    prior = GaussianDiffusion((4, 4), mean=0.3, std=0.2, steps=100).double()
    steps = DiffPirSteps(prior, (30, 10), 1.0, 0.0, None, 7)
    problem = Problem(PeriodicBlur((1, 4, 4)), torch.zeros(2, 1, 4, 4, dtype=torch.float64), QuadraticFidelity())
    noise = torch.randn((1, 4, 4), generator=generator_of(7, 0), dtype=torch.float64)
    alpha = prior.alphas[30]
    assert 0.2 < float(alpha) < 0.8
    start = steps.init(problem)
    torch.testing.assert_close(start.noisy, ((1 - alpha).sqrt() * noise).expand(2, -1, -1, -1))
    assert bool((start.clean == 0.3).all())
    x = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    begun = steps.init(problem, x)
    torch.testing.assert_close(begun.noisy, alpha.sqrt() * (x - 0.3) / 0.2 + (1 - alpha).sqrt() * noise)
    assert begun.count.tolist() == [0, 0]
    ended = steps.step(problem, steps.step(problem, begun))
    with pytest.raises(InputError, match="made with 2 steps; it has no step 3"):
        steps.step(problem, ended)


def test_samples_without_an_image_are_told() -> None:
    class Blind(Dataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            return Sample("night", None, torch.ones(3))

    with pytest.raises(InputError, match="sample night has no image"):
        load_images(Blind(), [0], torch.zeros(1))


def test_groups_divide_every_width() -> None:
    pytest.importorskip("diffusers")
    prior = Diffusion((8, 8), widths=(8, 12), steps=20).eval()
    with torch.no_grad():
        assert prior.noise(torch.zeros(1, 1, 8, 8), 3).shape == (1, 1, 8, 8)


def test_descent_begins_at_the_encoder_s_mean_and_at_random_vectors() -> None:
    iteration = VariableProjection(starts=3, seed=4)
    problem = VariableProjection.example_problem(2)
    x = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    model = problem.regularizer.regularizer.model  # type: ignore[union-attr]
    state = iteration.init(problem, x)
    torch.testing.assert_close(state.latent[:, 0], model.encode(x)[0])
    others = torch.randn((2, 2), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    torch.testing.assert_close(state.latent[:, 1:], others.expand(2, -1, -1))
    assert bool((state.image == x[:, None]).all())
    value = problem.data_value(x) + 0.1 * problem.regularizer.regularizer.joint(x, state.latent[:, 1])  # type: ignore[union-attr]
    torch.testing.assert_close(state.objective[:, 1], value)
