"""The trainers: two phases, resuming bitwise, and what they refuse."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from wellposed.dataset import Dataset, Sample, generator_of
from wellposed.errors import InputError, ShapeError
from wellposed.testing.doubles import LearnedFilter
from wellposed.training.checkpoint import NAME
from wellposed_generative.networks.diagonal_covariance import DiagonalCovariance
from wellposed_generative.networks.gaussian_diffusion import GaussianDiffusion
from wellposed_generative.networks.vae_covariance import VaeCovariance
from wellposed_generative.trainers.denoising_score import DenoisingScore
from wellposed_generative.trainers.doubles import OneLayer
from wellposed_generative.trainers.elbo import Elbo

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="module")
def toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wellposed_generative_toy", TOY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, *arguments: str) -> int:
    command = [sys.executable, str(TOY), str(folder), *arguments]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=surroundings, capture_output=True, timeout=300).returncode


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["5", "9"])
def test_a_killed_training_goes_on_bitwise_in_both_phases(tmp_path: Path, kill: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole) == 0
    assert run(parts, kill) == -signal.SIGKILL
    assert (parts / NAME).read_bytes() != (whole / NAME).read_bytes()
    assert run(parts) == 0
    for name in (NAME, "metrics.jsonl"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_a_training_that_was_stopped_goes_on_bitwise(toy: ModuleType, tmp_path: Path) -> None:
    """In this process: an exception between two checkpoints, in the second phase, and a fresh model after it."""

    class Stopping(toy.TrainingObserver):
        def step(self, step: int, steps: int, metrics: object) -> None:
            if step == 10:
                raise KeyboardInterrupt

    toy.trainer().fit(toy.model(), toy.data(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        toy.trainer().fit(toy.model(), toy.data(), tmp_path / "parts", Stopping())
    toy.trainer().fit(toy.model(), toy.data(), tmp_path / "parts")
    for name in (NAME, "metrics.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_mean_learns_first_and_is_then_frozen(toy: ModuleType, tmp_path: Path) -> None:
    begun, first, both, small = toy.model(), toy.model(), toy.model(), toy.model()
    toy.trainer(covariance_steps=0).fit(first, toy.data(), tmp_path / "first")
    toy.trainer().fit(both, toy.data(), tmp_path / "both")
    toy.trainer(mean_rate=0.1).fit(small, toy.data(), tmp_path / "small")
    start, mean, whole, slow = (m.state_dict() for m in (begun, first, both, small))
    for name in start:
        of_covariance = name.startswith("covariance")
        assert torch.equal(start[name], mean[name]) == of_covariance, name
        assert torch.equal(mean[name], whole[name]) != of_covariance, name
        assert not torch.equal(mean[name], slow[name]), name
    assert all(p.requires_grad for p in both.parameters())


def test_it_learns_a_gaussian(tmp_path: Path) -> None:
    """Independent pixels of known standard deviations, small on the left and large on the right, are found."""
    std = torch.full((1, 8, 8), 0.02)
    std[..., 4:] = 0.2

    class Noise(Dataset):
        def __len__(self) -> int:
            return 100000

        def __getitem__(self, index: int) -> Sample:
            return Sample(str(index), 0.5 + std * torch.randn(1, 8, 8, generator=generator_of(3, index)))

    model = VaeCovariance((8, 8), latent=1, width=4, covariance=DiagonalCovariance())
    fitted = Elbo(80, 250, batch=16, learning_rate=2e-2, log_every=50).fit(model, Noise(), tmp_path)
    found = (-model.eval().factor(torch.zeros(1, 1)).log_diagonal[0]).exp().detach()
    assert float((found[..., :3] / 0.02 - 1).abs().mean()) < 0.3
    assert float((found[..., 5:] / 0.2 - 1).abs().mean()) < 0.3
    entropy = float((std.log() + 0.5 * math.log(2 * math.pi * math.e)).mean())
    assert fitted.metrics["loss"] == pytest.approx(entropy, abs=0.25)


def test_metrics_and_validation_are_lines_of_json(toy: ModuleType, tmp_path: Path) -> None:
    fitted = toy.trainer(validation=2, validate_every=6).fit(toy.model(), toy.data(), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation loss" in line] == [6, 12]
    assert {"loss", "divergence", "error", "gradient", "learning_rate"} <= lines[0].keys()
    assert fitted.steps == 12
    assert fitted.metrics["loss"] == lines[-2]["loss"]
    assert "weights.encoder.0.weight" in load_file(tmp_path / NAME)


def test_what_cannot_be_trained_is_refused(toy: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"target: my-solver\.regularizer\.model"):
        toy.trainer().fit(LearnedFilter(), toy.data(), tmp_path)
    with pytest.raises(InputError, match="none with weights"):
        DenoisingScore(2).fit(GaussianDiffusion(), toy.data(), tmp_path)
    with pytest.raises(InputError, match="steps must be at least 1"):
        Elbo(0, 0)
    with pytest.raises(InputError, match="number of steps"):
        Elbo(-1, 5)
    with pytest.raises(InputError, match="mean_rate"):
        Elbo(1, 1, mean_rate=-1.0)
    toy.trainer().fit(toy.model(), toy.data(), tmp_path / "run")
    with pytest.raises(InputError, match="the checkpoint was made with beta"):
        toy.trainer(beta=2.0).fit(toy.model(), toy.data(), tmp_path / "run")


def test_the_score_is_learned(toy: ModuleType, tmp_path: Path) -> None:
    """One convolution learns to predict noise better than nothing, whose loss is 1."""
    prior = OneLayer((8, 8))
    fitted = DenoisingScore(150, batch=8, learning_rate=2e-2).fit(prior, toy.data(), tmp_path)
    assert fitted.metrics["loss"] < 0.8


class Images(Dataset):
    """Random images of the given shapes; one pixel of the second may be replaced."""

    def __init__(self, *shapes: tuple[int, int, int], pixel: float | None = None) -> None:
        self.shapes, self.pixel = shapes, pixel

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Sample:
        image = torch.rand(self.shapes[index], generator=generator_of(0, index))
        if self.pixel is not None and index == 1:
            image[0, 0, 0] = self.pixel
        return Sample(f"image-{index}", image)


def test_images_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = VaeCovariance((8, 8), latent=2, width=4)
    with pytest.raises(InputError, match="images of one size"):
        Elbo(2, 2, batch=2).fit(model, Images((1, 8, 8), (1, 8, 10)), tmp_path / "a")
    with pytest.raises(InputError, match="image-1 holds numbers that are not finite"):
        Elbo(2, 2, batch=2).fit(model, Images((1, 8, 8), (1, 8, 8), pixel=math.nan), tmp_path / "b")
    for number, shape in enumerate([(1, 16, 12), (3, 8, 8)]):  # a convolution would take the first one
        with pytest.raises(ShapeError, match="the diffusion model takes images of shape"):
            DenoisingScore(2, batch=2).fit(OneLayer((8, 8)), Images(shape, shape), tmp_path / f"c{number}")
