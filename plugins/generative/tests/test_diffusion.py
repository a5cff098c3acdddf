"""Diffusion models as priors: the sampler against Gaussian posteriors, and the adapter to diffusers."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from wellposed import Problem
from wellposed.errors import CompositionError, InputError
from wellposed.recipes import build
from wellposed.testing.doubles import PeriodicBlur, QuadraticFidelity
from wellposed_generative.networks.diffusion import Diffusion
from wellposed_generative.networks.diffusion_prior import DiffusionPrior
from wellposed_generative.networks.gaussian_diffusion import GaussianDiffusion
from wellposed_generative.solvers.diffpir import DiffPir, noise_levels

SIZE = 48
MEAN, STD = 0.5, 0.25


class Weighted(QuadraticFidelity):
    """`w/2 ‖v − y‖²`."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return self.weight * super().forward(v, y)

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return self.weight * (v - y)

    def smoothness(self, y: Tensor) -> float:
        return self.weight

    def strong_convexity(self, y: Tensor) -> float:
        return self.weight


def sampled(gain: float, sigma: float, value: float, **settings: object) -> Tensor:
    """Draws of independent pixels `x ~ N(0.5, 0.25²)` given `y = gain·x + sigma·n`, all with `y = value`.

    The pixels of one large image are independent, so that one run gives `48²` draws.
    """
    from wellposed.operator import LinearOperator
    from wellposed.space import Space

    class Gain(LinearOperator):
        def __init__(self) -> None:
            super().__init__(Space((1, SIZE, SIZE)), Space((1, SIZE, SIZE)))

        def _forward(self, x: Tensor) -> Tensor:
            return gain * x

        _adjoint = _forward

        def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
            return rhs / (gain**2 + shift)

    prior = GaussianDiffusion((SIZE, SIZE), mean=MEAN, std=STD).double()
    solver = DiffPir(prior, Weighted(1 / sigma**2), **settings)  # type: ignore[arg-type]
    return solver(torch.full((1, 1, SIZE, SIZE), value, dtype=torch.float64), Gain())


@pytest.mark.parametrize(
    ("gain", "sigma", "value"), [(1.0, 0.1, 0.9), (0.5, 0.25, 0.1), (1.0, 1.0, 0.5), (0.0, 1.0, 0.0)]
)
def test_samples_have_the_mean_and_the_variance_of_the_posterior(gain: float, sigma: float, value: float) -> None:
    """`N(m, v)` with `1/v = 1/std² + gain²/σ²`, `m = v (mean/std² + gain·y/σ²)`, within Monte-Carlo error."""
    x = sampled(gain, sigma, value, steps=1000, spacing="uniform", renewal=0.0, prior_std=STD)
    variance = 1 / (1 / STD**2 + gain**2 / sigma**2)
    mean = variance * (MEAN / STD**2 + gain * value / sigma**2)
    count = x.numel()
    assert float(x.mean()) == pytest.approx(mean, abs=4 * (variance / count) ** 0.5)
    assert float(x.var()) == pytest.approx(variance, rel=4 * (2 / count) ** 0.5)


def test_a_flat_prior_in_the_data_step_overstates_the_data() -> None:
    """As published (`prior_std` infinite) the same sampler is nearer to the data than the posterior: a known bias."""
    exact = 1 / (1 / STD**2 + 1 / 0.25**2)
    mean = exact * (MEAN / STD**2 + 0.9 / 0.25**2)
    x = sampled(1.0, 0.25, 0.9, steps=200, spacing="uniform", renewal=0.0)
    assert float(x.mean()) > mean + 0.02


def test_its_law_is_that_of_the_recursion() -> None:
    """With renewed noise and few steps: mean and variance by the linear recursion of algorithm 1, step by step."""
    steps, renewal, sigma, value = 12, 0.4, 0.3, 0.8
    x = sampled(1.0, sigma, value, steps=steps, renewal=renewal, strength=2.0)
    alphas = GaussianDiffusion((8, 8), mean=MEAN, std=STD).alphas
    times = noise_levels(1000, steps, "quad")
    first = alphas[times[0]]
    # x_t = a·(what was drawn) + b as a sum of independent draws: mean and variance of u_t, the start is noise.
    mean, variance = torch.zeros(()), 1 - first
    for k, t in enumerate(times):
        alpha = alphas[t]
        tweedie = alpha.sqrt()  # E[u_0|u_t] = √ᾱ u_t for a standard normal prior
        ratio = 2.0 * sigma**2 / ((1 - alpha) / alpha * STD**2)  # of the prior's term to the data's
        share = ratio / (1 + ratio)
        offset = (1 - share) * (value - MEAN) / STD
        if k + 1 == steps:
            mean, variance = share * tweedie * mean + offset, (share * tweedie) ** 2 * variance
            break
        after = alphas[times[k + 1]]
        keep = ((1 - after) * (1 - renewal)).sqrt() / (1 - alpha).sqrt()
        factor = after.sqrt() * share * tweedie + keep * (1 - alpha.sqrt() * share * tweedie)
        mean = factor * mean + (after.sqrt() - keep * alpha.sqrt()) * offset
        variance = factor**2 * variance + (1 - after) * renewal
    expected, spread = float(MEAN + STD * mean), float(STD**2 * variance)
    assert float(x.mean()) == pytest.approx(expected, abs=4 * (spread / x.numel()) ** 0.5)
    assert float(x.var()) == pytest.approx(spread, rel=4 * (2 / x.numel()) ** 0.5)


class SolvedBlur(PeriodicBlur):
    """A blur with its normal equations solved by a matrix."""

    def __init__(self) -> None:
        super().__init__((1, 6, 6))
        eye = torch.eye(36, dtype=torch.float64)
        self.matrix = self._forward(eye.reshape(36, 1, 6, 6)).reshape(36, 36)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        system = self.matrix @ self.matrix + shift * torch.eye(36, dtype=torch.float64)
        return torch.linalg.solve(system, rhs.reshape(-1, 36).T).T.reshape(rhs.shape)


def test_with_correlated_pixels_the_samples_are_those_of_the_posterior() -> None:
    """Means and variances of every pixel over many seeds, against the dense posterior of a blurred Gaussian."""
    operator, sigma, count = SolvedBlur(), 0.5, 60
    y = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prior = GaussianDiffusion((6, 6), mean=MEAN, std=STD, steps=100).double()
    fidelity = Weighted(sigma**-2)
    draws = torch.cat(
        [DiffPir(prior, fidelity, 100, "uniform", 1.0, 0.0, STD, seed)(y, operator) for seed in range(count)]
    )
    precision = operator.matrix @ operator.matrix / sigma**2 + torch.eye(36, dtype=torch.float64) / STD**2
    mean = torch.linalg.solve(precision, operator.matrix @ y.reshape(-1) / sigma**2 + MEAN / STD**2)
    variance = torch.linalg.inv(precision).diagonal()
    chi = (draws.mean(0).reshape(-1) - mean).square() / (variance / count)
    assert float(chi.mean()) < 1.8  # 1 for exact means
    assert float((draws.var(0).reshape(-1) / variance).mean()) == pytest.approx(1, abs=0.15)


def test_a_seed_makes_it_deterministic_and_another_one_draws_anew() -> None:
    first, again, other = (sampled(1.0, 0.2, 0.5, steps=10, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize(
    ("steps", "spacing"), [(1, "quad"), (7, "uniform"), (100, "quad"), (20, "quad"), (1000, "uniform")]
)
def test_noise_levels_fall_to_the_lowest_and_none_is_taken_twice(steps: int, spacing: str) -> None:
    times = noise_levels(1000, steps, spacing)
    assert len(times) == steps
    assert all(a > b for a, b in pairwise(times))
    assert times[0] <= 999
    assert times[-1] == 0 or steps == 1
    if steps == 1000:
        assert times == tuple(range(999, -1, -1))


def test_the_denoiser_of_a_gaussian_is_wiener_s() -> None:
    prior = GaussianDiffusion((8, 8), mean=0.3, std=0.2, noise_level=0.1).double()
    sigma = float(prior.deviation()[(prior.deviation() - 0.1).abs().argmin()])
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    assert torch.allclose(prior(x), (0.2**2 * x + sigma**2 * 0.3) / (0.2**2 + sigma**2))
    assert sigma == pytest.approx(0.1, rel=0.02)


def test_what_does_not_fit_is_refused() -> None:
    prior = GaussianDiffusion((8, 8))
    with pytest.raises(InputError, match="1 to 1000 steps"):
        DiffPir(prior, QuadraticFidelity(), steps=2000)
    with pytest.raises(InputError, match="renewal in"):
        DiffPir(prior, QuadraticFidelity(), renewal=1.5)
    solver = DiffPir(prior, QuadraticFidelity(), steps=2)
    operator = PeriodicBlur((1, 6, 6))
    with pytest.raises(CompositionError, match="this diffusion model makes images"):
        solver.check(Problem(operator, torch.zeros(1, 1, 6, 6), QuadraticFidelity()))


# diffusers ------------------------------------------------------------------------------------------


def test_nothing_imports_diffusers_before_a_model_is_built() -> None:
    """Nor does the listing import this package or torch."""
    code = (
        "import sys; import wellposed_generative.networks.diffusion, wellposed_generative.solvers.diffpir;"
        "assert 'diffusers' not in sys.modules;"
        "import wellposed_generative.trainers.denoising_score; assert 'diffusers' not in sys.modules"
    )
    listing = (
        "import sys; from wellposed.registry import registry;"
        "assert any(e.name == 'diffusion' and e.summary for e in registry().entries('networks'));"
        "assert 'torch' not in sys.modules and 'wellposed_generative' not in sys.modules"
    )
    for program in (code, listing):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def test_without_diffusers_the_command_that_helps_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"pip install 'wellposed-generative\[diffusion\]'"):
        Diffusion((8, 8))


def test_the_adapter_has_the_schedule_and_the_network_of_diffusers(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    prior = Diffusion((16, 16), widths=(8, 8), steps=50, schedule="squaredcos_cap_v2").eval()
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=50, beta_schedule="squaredcos_cap_v2")
    assert torch.allclose(prior.alphas, scheduler.alphas_cumprod.double())
    u = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        prior.alphas = prior.alphas.float()
        mean = scheduler.step(prior.noise(u, 30), 30, u).pred_original_sample
        scheduler.config.clip_sample = False
        clean = prior.clean(u, 30)
    assert torch.allclose(clean.clamp(-1, 1), mean, atol=1e-4)
    prior.unet.save_pretrained(tmp_path / "model")  # type: ignore[operator]
    again = Diffusion((16, 16), steps=50, schedule="squaredcos_cap_v2", pretrained=str(tmp_path / "model")).eval()
    assert torch.equal(again.noise(u, 30), prior.noise(u, 30))
    weights = tmp_path / "model" / "diffusion_pytorch_model.safetensors"
    stored = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({k: v.to(torch.int8) for k, v in stored.items()}, weights, {"format": "pt"})
    with pytest.raises(InputError, match="holds int8, float32 is needed"):
        Diffusion((16, 16), pretrained=str(tmp_path / "model"))
    safetensors.torch.save_file(stored, weights, {"format": "pt"})
    with pytest.raises(InputError, match="1 channels; channels=2"):
        Diffusion((16, 16), channels=2, pretrained=str(tmp_path / "model"))
    with pytest.raises(InputError, match=r"no config\.json"):
        Diffusion((16, 16), pretrained=str(tmp_path))
    with pytest.raises(InputError, match="divisible by 4"):
        Diffusion((16, 18), widths=(8, 8, 8))


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("steps", [20, 50, 1000])
def test_every_schedule_ends_in_noise(schedule: str, steps: int) -> None:
    """A sampler begins with noise alone: where the last image still shows, it begins with what never occurs."""
    pytest.importorskip("diffusers")
    alphas = Diffusion((8, 8), widths=(8,), steps=steps, schedule=schedule).alphas  # type: ignore[arg-type]
    assert float(alphas[-1]) < 1e-3
    assert bool((alphas > 0).all())
    assert float(alphas[0]) > 0.98


def test_a_model_that_learns_the_variance_and_too_few_steps_are_refused(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,)}
    network = diffusers.UNet2DModel(8, 1, 2, layers_per_block=1, norm_num_groups=8, add_attention=False, **blocks)
    network.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="gives 2 channels for 1"):
        Diffusion((8, 8), pretrained=str(tmp_path))
    with pytest.raises(InputError, match="at least 20 steps"):
        Diffusion((8, 8), widths=(8,), steps=5)


def test_a_trained_network_samples_through_a_recipe() -> None:
    pytest.importorskip("diffusers")
    prior = {"use": "diffusion", "shape": [16, 16], "widths": [8, 8], "steps": 50}
    solver = build(
        "solvers", {"use": "diffpir", "prior": prior, "fidelity": {"use": "l2", "weight": 100.0}, "steps": 5}
    )
    assert isinstance(solver.iteration.prior, DiffusionPrior)  # type: ignore[union-attr]
    operator = PeriodicBlur((1, 16, 16))
    x = solver(torch.rand(2, 1, 16, 16), operator)
    assert bool(torch.isfinite(x).all())
