"""`wellposed run`, `train` and their kin with `device=` a second device: the numbers of a CPU run, from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from command_line import run_command
from devices.marked import DEVICE, second_device
from safetensors.torch import load_file

TOMOGRAPHY = """
data: {use: shepp-logan, size: 16}
operator: {use: parallel-beam, shape: [16, 16], angles: 8}
noise: {use: gaussian, sigma: 0.05, relative_to: mean-abs}
solvers:
  FBP: filtered-backprojection
  TV:
    use: iterative
    iteration: pdhg
    fidelity: {use: l2, weight: 0.2}
    regularizer: [{use: total-variation, weight: 0.26}, nonnegativity]
    stop: {iterations: 10, every: 5, rules: [relative-change, {use: duality-gap, radius: 100}]}
metrics: [{use: psnr, data_range: 1.0}, ssim]
monitors: [objective, psnr]
"""

RESONANCE = """
data: {use: ellipses, size: 16, length: 2}
operator:
  - {use: fourier, shape: [16, 16], mask: {use: cartesian-mask, acceleration: 2.0, seed: 1}}
  - {use: complexify, shape: [16, 16]}
noise: {use: gaussian, sigma: 0.02}
solvers:
  zero-filled: pseudo-inverse
  wavelets:
    use: iterative
    iteration: fista
    fidelity: l2
    regularizer: {use: wavelet-l1, wavelet: db2, weight: 0.01}
    init: pseudo-inverse
    stop: {iterations: 10}
samples: 2
metrics: [{use: psnr, data_range: 1.0}, nmse, relative-l2]
"""

PAIRS = """
data: {use: ellipses, size: 16, length: 1}
operator: {use: parallel-beam, shape: [16, 16], angles: 8}
noise: {use: gaussian, sigma: 0.02}
solvers: {learned: {use: learned-primal-dual, steps: 2, width: 4}}
metrics: [{use: psnr, data_range: 1.0}]
training:
  target: learned
  data: {use: ellipses, size: 16, length: 6, seed: 1}
  trainer:
    {use: supervised, steps: 4, batch: 2, reuse: 2, clip: 1.0, validation: 2, metrics: [mean-squared-error],
     validate_every: 2, checkpoint_every: 2}
"""

SPARSE = """
data: {use: sparse-codes, entries: 20, length: 1, seed: 1}
operator: {use: matrix, domain_shape: [1, 20], range_shape: [10], matrix: {use: gaussian-columns, seed: 0}}
solvers: {alista: {use: alista, layers: 2}}
metrics: [nmse-db]
training:
  target: alista
  data: {use: sparse-codes, entries: 20, length: 32, seed: 2}
  trainer: {use: layer-wise, stage_steps: [2, 2, 2], learning_rates: [1.0e-2, 2.0e-2, 2.0e-3], batch: 4}
"""

BLOCKS = """
data: {use: ellipses, size: 16, length: 1}
operator: {use: block-compressed-sensing, shape: [16, 16], block: 4, ratio: 0.25, seed: 0}
solvers:
  net: {use: ista-net-plus, phases: 2, initial: {use: blockwise-linear, block: 4, rows: 4}}
metrics: [{use: psnr, data_range: 1.0}]
training:
  target: net
  data: {use: ellipses, size: 16, length: 8, seed: 1}
  trainer: {use: supervised, steps: 2, batch: 2}
"""

EQUILIBRIUM = """
data: {use: ellipses, size: 16, length: 1}
operator: {use: convolution, shape: [16, 16], kernel: {use: gaussian-kernel, sigma: 1.0}}
noise: {use: gaussian, sigma: 0.01}
solvers:
  equilibrium: {use: equilibrium-proximal, step_size: 1.7, iterations: 8, gradient: {use: phantom, steps: 2}}
metrics: [{use: psnr, data_range: 1.0}]
training:
  target: equilibrium
  data: {use: ellipses, size: 16, length: 4, seed: 1}
  trainer: {use: supervised, steps: 2, batch: 2}
"""

VAE = """
data: {use: ellipses, size: 16, length: 1}
operator: {use: identity, shape: [16, 16]}
noise: {use: gaussian, sigma: 0.05}
solvers:
  structured:
    use: iterative
    iteration: variable-projection
    fidelity: {use: l2, weight: 100.0}
    regularizer:
      use: generative-gaussian
      model: {use: vae-covariance, shape: [16, 16], latent: 2, width: 4, covariance: {use: sparse-cholesky, radius: 1}}
    stop: {iterations: 3}
metrics: [{use: psnr, data_range: 1.0}]
training:
  target: structured.regularizer.model
  data: {use: augmented, images: {use: ellipses, size: 32, length: 4}, length: 20, size: 16, flip: true, intensity: 0.1}
  trainer: {use: elbo, mean_steps: 2, covariance_steps: 2, batch: 2}
"""

DIFFUSION = """
data: {use: ellipses, size: 16, length: 1}
operator: {use: identity, shape: [16, 16]}
noise: {use: gaussian, sigma: 0.05}
solvers:
  diffpir:
    use: diffpir
    prior: {use: diffusion, shape: [16, 16], widths: [8, 16]}
    fidelity: {use: l2, weight: 100.0}
    steps: 3
metrics: [{use: psnr, data_range: 1.0}]
training:
  target: diffpir.prior
  data: {use: ellipses, size: 16, length: 4, seed: 1}
  trainer: {use: denoising-score, steps: 2, batch: 2}
"""

BILEVEL = """
data: {use: indicator-signals, pixels: 32, count: 1, seed: 1}
operator: {use: identity, shape: [32]}
noise: {use: gaussian, sigma: 0.1}
precision: double
solvers:
  denoiser:
    use: iterative
    iteration: fista
    fidelity: l2
    regularizer:
      - {use: smoothed-total-variation, weight: 1.0, nu: 0.1, xi: 0.0}
      - {use: tikhonov, weight: 0.1}
    stop: {iterations: 2000, rules: [{use: certified-accuracy, accuracy: 1.0e-2}]}
metrics: [relative-l2]
training:
  target: denoiser
  data: {use: indicator-signals, pixels: 32, count: 2, seed: 0}
  trainer:
    use: bilevel-dfo
    accuracy: {factor: 10.0, share: 0.04}
    parameters: [{path: regularizer.terms.0.weight, start: 0, box: [-7, 7]}]
    evaluations: 3
"""
RECIPES = {"tomography": TOMOGRAPHY, "resonance": RESONANCE}
TRAININGS = {
    "supervised": PAIRS,
    "layer-wise": SPARSE,
    "blocks": BLOCKS,
    "equilibrium": EQUILIBRIUM,
    "elbo": VAE,
    "denoising-score": DIFFUSION,
    "bilevel-dfo": BILEVEL,
    "bilevel-implicit": BILEVEL.replace("bilevel-dfo\n    accuracy: {factor: 10.0, share: 0.04}", "bilevel-implicit"),
}

#: Slow tests: for each of them another trainer of its kind runs in the usual suite.
SLOW = {"equilibrium", "denoising-score", "bilevel-implicit"}


def both(command: str, text: str, folder: Path) -> tuple[Path, Path]:
    """The folders of the same run here and there."""
    (folder / "recipe.yaml").write_text(text)
    here, there = folder / "here", folder / "there"
    words = (command, str(folder / "recipe.yaml"), "--json")
    _well(*words, "--out", str(here))
    with second_device():
        _well(*words, f"device={DEVICE.type}", "--out", str(there))
    return here, there


def _well(*words: str) -> Any:
    done = run_command(*words)
    assert done.code == 0, done.errors
    return json.loads(done.output)


@pytest.mark.parametrize("name", RECIPES)
def test_run(name: str, tmp_path: Path) -> None:
    here, there = both("run", RECIPES[name], tmp_path)
    same_images(here, there)
    assert yaml.safe_load((there / "recipe.yaml").read_text())["device"] == DEVICE.type
    assert DEVICE.type in json.loads((there / "environment.json").read_text())["device"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in TRAININGS]
)
def test_train(name: str, tmp_path: Path) -> None:
    """Samples come from here; weights, checkpoints and the images afterwards are those of a training here."""
    here, there = both("train", TRAININGS[name], tmp_path)
    same_images(here, there)
    for file in here.glob("*.safetensors"):
        expected, found = load_file(file), load_file(there / file.name)
        for key, value in expected.items():
            # Adam's first steps have a length of their own, whatever rounding leaves of a gradient.
            assert torch.allclose(found[key], value, rtol=1e-3, atol=1e-3), f"{file.name}: {key}"


@pytest.mark.slow
def test_stability(tmp_path: Path) -> None:
    both("stability", TOMOGRAPHY, tmp_path)


def test_reconstruct(tmp_path: Path) -> None:
    """The measurement of a file, by an operator and a solver."""
    sinogram = tmp_path / "sinogram.npy"
    np.save(sinogram, np.random.default_rng(0).random((8, 23)).astype(np.float32))
    words = ("reconstruct", "--operator", "parallel-beam", "shape=[16,16]", "angles=8", "bins=23")
    words += ("--measurement", str(sinogram), "--solver", "filtered-backprojection", "--json")
    _well(*words, "--out", str(tmp_path / "here"))
    with second_device():
        _well(*words, f"device={DEVICE.type}", "--out", str(tmp_path / "there"))
    same_images(tmp_path / "here", tmp_path / "there")


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """Stopped half way and called again, on the device, it ends with the weights of an uninterrupted one."""
    recipe, whole, half = tmp_path / "recipe.yaml", tmp_path / "whole", tmp_path / "half"
    recipe.write_text(PAIRS)
    words = ("train", str(recipe), f"device={DEVICE.type}", "--json", "--out")
    with second_device():
        _well(*words, str(whole))
        _interrupted((*words, str(half)), after=2)
        _well(*words, str(half))
    expected, found = (load_file(run / "model.safetensors") for run in (whole, half))
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def _interrupted(words: tuple[str, ...], after: int) -> None:
    from wellposed.training.checkpoint import Checkpoint

    write = Checkpoint.write

    def stopping(self: Checkpoint, folder: Path) -> Path:
        path = write(self, folder)
        if self.step == after:
            raise KeyboardInterrupt
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "write", stopping)
        assert run_command(*words).code != 0


def same_images(here: Path, there: Path) -> None:
    files = sorted((here / "reconstructions").iterdir())
    assert files
    for file in files:
        np.testing.assert_allclose(np.load(there / "reconstructions" / file.name), np.load(file), rtol=1e-3, atol=1e-4)
