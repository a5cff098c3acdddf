"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.recipes import build
from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("iterations", "variable-projection"): {"starts": 1, "image_steps": 20, "seed": 0},
    ("networks", "diagonal-covariance"): {"channels": 1, "least_std": 0.01, "initial_std": 0.1},
    ("networks", "diffusion"): {
        "channels": 1,
        "widths": (32, 64, 64),
        "layers": 1,
        "steps": 1000,
        "schedule": "linear",
        "center": 0.5,
        "scale": 0.5,
        "noise_level": 0.1,
        "pretrained": None,
        "seed": 0,
    },
    ("networks", "gaussian-diffusion"): {
        "shape": (16, 16),
        "channels": 1,
        "mean": 0.5,
        "std": 0.25,
        "steps": 1000,
        "noise_level": 0.1,
    },
    ("networks", "identity-covariance"): {"channels": 1, "least_std": 0.01, "initial_std": 0.1},
    ("networks", "sparse-cholesky"): {"radius": 2, "channels": 1, "least_std": 0.01, "initial_std": 0.1},
    ("networks", "vae-covariance"): {
        "latent": 32,
        "width": 16,
        "channels": 1,
        "covariance": None,
        "mean": None,
        "seed": 0,
    },
    ("regularizers", "generative-gaussian"): {"latent_weight": 1.0, "search": 200},
    ("solvers", "diffpir"): {
        "steps": 100,
        "spacing": "quad",
        "strength": 1.0,
        "renewal": 0.1,
        "prior_std": None,
        "seed": 0,
    },
    ("trainers", "denoising-score"): {
        "batch": 16,
        "learning_rate": 0.0002,
        "betas": (0.9, 0.999),
        "clip": 1.0,
        "validation": 0,
        "validate_every": 500,
        "checkpoint_every": 500,
        "log_every": 10,
        "seed": 0,
    },
    ("trainers", "elbo"): {
        "batch": 16,
        "learning_rate": 0.002,
        "mean_rate": 0.0,
        "beta": 1.0,
        "betas": (0.9, 0.99),
        "clip": 1.0,
        "validation": 0,
        "validate_every": 500,
        "checkpoint_every": 500,
        "log_every": 10,
        "seed": 0,
    },
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]


@pytest.mark.parametrize(
    ("kind", "node", "text"),
    [
        ("networks", "sparse-cholesky", "SparseCholesky(radius=2, channels=1)"),
        ("networks", "diagonal-covariance", "DiagonalCovariance(channels=1)"),
    ],
)
def test_a_component_prints_its_numbers(kind: str, node: Any, text: str) -> None:
    assert text in repr(build(kind, node))
