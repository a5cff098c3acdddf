"""The recipes: each is built as it stands, and one is trained through the command line on a few images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wellposed.cli.boundary import run
from wellposed.errors import InputError
from wellposed.recipes import load_recipe

RECIPES = ("brain-structured", "brain-diagonal", "brain-identity", "brain-diffusion")
SMALL = "{use: vae-covariance, shape: [16, 16], latent: 2, width: 4}"


@pytest.fixture
def brain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with six images in each part; the working directory."""
    for part in ("train", "test"):
        folder = tmp_path / "brain" / part
        folder.mkdir(parents=True)
        for i in range(6):
            rows, columns = np.mgrid[0:32, 0:32]
            image = np.exp(-((rows - 16 - i / 4) ** 2 + (columns - 15) ** 2) / (40.0 + 5 * i))
            np.save(folder / f"{i}.npy", image)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_read_and_tells_what_it_is(name: str) -> None:
    recipe = load_recipe(f"generative/{name}", ())
    assert recipe.summary
    assert recipe.training is not None


def _needs_physics() -> None:
    from wellposed import component

    for kind, name in (("operators", "fourier"), ("datasets", "image-folder"), ("solvers", "pseudo-inverse")):
        try:
            component(kind, name)
        except InputError as missing:
            pytest.skip(str(missing))


def small(*more: str) -> list[str]:
    """A recipe's settings at 16 × 16."""
    return [
        "data.size=16",
        "operator=[{use: fourier, shape: [16, 16]}, {use: complexify, shape: [16, 16]}]",
        "samples=2",
        "training.data.images.size=32",
        "training.data.size=16",
        *more,
    ]


def test_training_a_part_writes_weights_that_the_next_recipe_reads(brain: Path, capsys: pytest.CaptureFixture) -> None:
    _needs_physics()
    first = small(
        f"solvers.structured.regularizer.model={SMALL}",
        "solvers.structured.stop.iterations=3",
        "training.trainer.mean_steps=4",
        "training.trainer.covariance_steps=4",
        "training.trainer.batch=2",
    )
    assert run(["train", "generative/brain-structured", *first, "--out", "runs/first", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert {row["solver"] for row in results} == {"zero-filled", "TV, x ≥ 0", "structured"}
    assert all(row["verdict"] == "completed" for row in results)
    found = load_file("runs/first/target.safetensors")
    trained = load_file("runs/first/model.safetensors")
    assert all(torch.equal(trained[f"regularizer.regularizer.model.{name}"], found[name]) for name in found)
    mean = f"{SMALL[:-1]}, weights: runs/first/target.safetensors}}"
    second = small(
        f"solvers.diagonal.regularizer.model={SMALL[:-1]}, covariance: diagonal-covariance, mean: {mean}}}",
        "solvers.diagonal.stop.iterations=2",
        "training.trainer.covariance_steps=3",
        "training.trainer.batch=2",
    )
    assert run(["train", "generative/brain-diagonal", *second, "--out", "runs/second"]) == 0
    own = load_file("runs/second/target.safetensors")
    same = [n for n in found if n.startswith(("encoder", "mean_decoder"))]
    assert same
    assert all(torch.equal(own[n], found[n]) for n in same)


@pytest.mark.slow
def test_a_diffusion_model_is_trained_and_sampled(brain: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("diffusers")
    _needs_physics()
    settings = small(
        "solvers.diffpir.prior={use: diffusion, shape: [16, 16], widths: [8, 16]}",
        "solvers.diffpir.steps=10",
        "training.trainer.steps=30",
        "training.trainer.batch=4",
        "training.trainer.learning_rate=2e-3",
    )
    assert run(["train", "generative/brain-diffusion", *settings, "--out", "run", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [row["verdict"] for row in results] == ["completed", "completed"]
    lines = [json.loads(line) for line in Path("run/trainer/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]
