"""Checkpoints of diffusers: their schedules and predictions, held against a prior whose denoiser is known."""

from __future__ import annotations

import json
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wellposed import InputError
from wellposed.testing.doubles import PeriodicBlur, QuadraticFidelity
from wellposed_generative.networks.diffusion import Diffusion
from wellposed_generative.solvers.diffpir import DiffPir

diffusers = pytest.importorskip("diffusers")

#: Of the pixels `u_0 ~ N(0, STD²)`.
STD = 0.4
SCHEDULERS: dict[str, dict[str, Any]] = {
    "linear": {"num_train_timesteps": 100, "beta_start": 1e-3, "beta_end": 0.1},
    "cosine": {"num_train_timesteps": 50, "beta_schedule": "squaredcos_cap_v2"},
    "latent": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "listed": {"num_train_timesteps": 30, "trained_betas": [0.01 + 0.01 * k for k in range(30)]},
    "zero snr": {"num_train_timesteps": 100, "beta_start": 1e-3, "beta_end": 0.1, "rescale_betas_zero_snr": True},
}


class Optimal(nn.Module):
    """What a network of `kind`, trained without end on those pixels, gives: exact conditional expectations."""

    def __init__(self, scheduler: Any) -> None:
        super().__init__()
        self.alphas, self.kind = scheduler.alphas_cumprod.double(), scheduler.config.prediction_type

    def forward(self, u: Tensor, t: Tensor) -> Any:
        alpha = self.alphas[t].reshape(-1, 1, 1, 1)
        variance = alpha * STD**2 + 1 - alpha
        clean, noise = alpha.sqrt() * STD**2 / variance * u, (1 - alpha).sqrt() / variance * u
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        return types.SimpleNamespace(sample={"epsilon": noise, "sample": clean, "v_prediction": velocity}[self.kind])


def pipeline(folder: Path, name: str = "DDPMScheduler", **config: Any) -> Any:
    """A pipeline's folder: a small network in `unet`, a scheduler in `scheduler`; returns the scheduler."""
    unet = Diffusion((8, 8), widths=(8,), steps=50).unet
    unet.save_pretrained(folder / "unet")  # type: ignore[operator]
    scheduler = getattr(diffusers, name)(**config)
    scheduler.save_pretrained(folder / "scheduler")
    return scheduler


def optimal(folder: Path, scheduler: Any) -> Diffusion:
    """The model that is read, with the network that would be best in the place of its own."""
    prior = Diffusion((8, 8), pretrained=str(folder), center=0.0, scale=1.0).double()
    prior.unet = Optimal(scheduler)
    return prior


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("schedule", SCHEDULERS)
def test_the_denoiser_is_the_optimal_one_at_every_time(tmp_path: Path, schedule: str, kind: str) -> None:
    """`E[u_0|u_t] = √ᾱ s² u_t/(ᾱ s² + 1 − ᾱ)`, `E[ε|u_t] = √(1−ᾱ) u_t/(ᾱ s² + 1 − ᾱ)`, whatever is predicted."""
    if schedule == "zero snr" and kind == "epsilon":
        pipeline(tmp_path, prediction_type=kind, **SCHEDULERS[schedule])
        with pytest.raises(InputError, match="ends in noise alone"):
            Diffusion((8, 8), pretrained=str(tmp_path))
        return
    scheduler = pipeline(tmp_path, prediction_type=kind, **SCHEDULERS[schedule])
    prior = optimal(tmp_path, scheduler)
    u = torch.randn((2, 1, 8, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert len(prior.alphas) == scheduler.config.num_train_timesteps
    for t in range(len(prior.alphas)):
        alpha = scheduler.alphas_cumprod[t].double()
        variance = alpha * STD**2 + 1 - alpha
        torch.testing.assert_close(prior.clean(u, t), alpha.sqrt() * STD**2 / variance * u, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(prior.noise(u, t), (1 - alpha).sqrt() / variance * u, rtol=1e-9, atol=1e-12)
    times = torch.tensor([0, len(prior.alphas) - 1])
    expected = torch.cat([prior.noise(u[:1], 0), prior.noise(u[1:], int(times[1]))])
    torch.testing.assert_close(prior.noise(u, times), expected)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_as_a_denoiser_it_is_wiener_s(tmp_path: Path, kind: str) -> None:
    prior = optimal(tmp_path, pipeline(tmp_path, prediction_type=kind, **SCHEDULERS["latent"]))
    x = torch.randn((2, 1, 8, 8), dtype=torch.float64)
    sigma = float(prior.deviation()[int((prior.deviation() - prior.noise_level).abs().argmin())])
    torch.testing.assert_close(prior(x), STD**2 / (STD**2 + sigma**2) * x)


@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"]
)
def test_schedulers_of_one_model_are_read_alike(tmp_path: Path, name: str) -> None:
    config = {**SCHEDULERS["latent"], "prediction_type": "v_prediction"}
    expected = diffusers.DDPMScheduler(**config)
    pipeline(tmp_path, name, **config)
    prior = optimal(tmp_path, expected)
    torch.testing.assert_close(prior.alphas, expected.alphas_cumprod.double(), rtol=1e-5, atol=0)
    u = torch.ones((1, 1, 8, 8), dtype=torch.float64)
    alpha = expected.alphas_cumprod[500].double()
    torch.testing.assert_close(
        prior.clean(u, 500), alpha.sqrt() * STD**2 / (alpha * STD**2 + 1 - alpha) * u, rtol=1e-5, atol=0
    )


def test_a_schedule_that_ends_in_noise_alone_is_sampled(tmp_path: Path) -> None:
    prior = optimal(tmp_path, pipeline(tmp_path, prediction_type="v_prediction", **SCHEDULERS["zero snr"]))
    solver = DiffPir(prior, QuadraticFidelity(), steps=99)
    operator = PeriodicBlur((1, 8, 8)).double()
    assert bool(torch.isfinite(solver(torch.zeros((1, 1, 8, 8), dtype=torch.float64), operator)).all())
    with pytest.raises(InputError, match="1 to 99 steps"):
        DiffPir(prior, QuadraticFidelity(), steps=100)


def test_the_scheduler_is_found_from_the_network_s_own_folder_too(tmp_path: Path) -> None:
    pipeline(tmp_path, **SCHEDULERS["cosine"])
    assert len(Diffusion((8, 8), pretrained=str(tmp_path / "unet")).alphas) == 50
    (tmp_path / "scheduler" / "scheduler_config.json").rename(tmp_path / "unet" / "scheduler_config.json")
    assert len(Diffusion((8, 8), pretrained=str(tmp_path / "unet")).alphas) == 50


def test_without_a_scheduler_it_says_what_it_takes(tmp_path: Path) -> None:
    pipeline(tmp_path)
    (tmp_path / "scheduler" / "scheduler_config.json").unlink()
    with pytest.warns(UserWarning, match="holds no scheduler_config.json.*steps: 50 and schedule: linear"):
        Diffusion((8, 8), steps=50, pretrained=str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Diffusion((8, 8), widths=(8,), steps=50)


def test_a_schedule_that_contradicts_the_checkpoint_is_refused(tmp_path: Path) -> None:
    pipeline(tmp_path, **SCHEDULERS["cosine"])
    with pytest.raises(InputError, match="has a schedule of its own, steps: 50 and schedule: squaredcos_cap_v2"):
        Diffusion((8, 8), steps=500, pretrained=str(tmp_path))
    Diffusion((8, 8), steps=50, schedule="squaredcos_cap_v2", pretrained=str(tmp_path))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "is of the scheduler 'FlowMatchEulerDiscreteScheduler'"),
        ({"_class_name": "EDMEulerScheduler"}, "is of the scheduler 'EDMEulerScheduler'"),
        ({"_class_name": None}, "is of the scheduler None"),
        ({"prediction_type": "flow_prediction"}, "prediction_type 'flow_prediction' is not understood"),
        ({"beta_schedule": "staircase"}, "describes no DDPMScheduler that can be built"),
        ({"beta_start": 0.5, "beta_end": -0.5}, "must fall, within"),
        ({"num_train_timesteps": 5}, "over at least 20 steps"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    pipeline(tmp_path)
    file = tmp_path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(InputError, match=sentence):
        Diffusion((8, 8), pretrained=str(tmp_path))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    pipeline(tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "scheduler" / "scheduler_config.json").write_text(text)
        with pytest.raises(InputError, match=r"scheduler_config\.json"):
            Diffusion((8, 8), pretrained=str(tmp_path))
