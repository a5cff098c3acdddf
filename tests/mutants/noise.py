"""Mutants of noise models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wellposed_physics.fidelities.kullback_leibler import KullbackLeibler
from wellposed_physics.fidelities.l1 import L1
from wellposed_physics.fidelities.l2 import L2

from .changes import after, around, double, replaced, with_global_noise, writing_into
from .mutant import Change, mutants


def noise(what: Any) -> Change:
    """The noise that is added, changed by `what(noise, v)`."""
    return around("forward", lambda self, original, v, g: v + what(original(v, g) - v, v))


def _rows(e: Tensor, v: Tensor) -> Tensor:
    return e[..., :1].expand_as(e)


def _neighbours(e: Tensor, v: Tensor) -> Tensor:
    mixed = e + 0.3 * e.roll(1, -1)
    return mixed / (1 + 0.3**2) ** 0.5


def _uniform(self: Any, original: Any, v: Tensor, g: torch.Generator) -> Tensor:
    return v + self.sigma * 12**0.5 * (torch.rand(v.shape, generator=g, dtype=v.dtype) - 0.5)


def _stronger(factor: float) -> Change:
    return noise(lambda e, v: factor * e)


def _gaussian_of_counts(self: Any, original: Any, v: Tensor, g: torch.Generator) -> Tensor:
    """The variance of the mean count in every bin, whatever its own."""
    return (v + (v.mean() / self.gain).sqrt() * torch.randn(v.shape, generator=g, dtype=v.dtype)).abs()


def _same_for_each_sample(self: Any, original: Any, v: Tensor, g: torch.Generator) -> Tensor:
    return v + (original(v[:1], g) - v[:1])


def _own_generator(self: Any, original: Any, v: Tensor, g: torch.Generator) -> Tensor:
    return original(v, torch.Generator().manual_seed(0))


def _global(self: Any, original: Any, v: Tensor, g: torch.Generator) -> Tensor:
    torch.manual_seed(int(torch.randint(1 << 30, (1,), generator=g)))
    return original(v, g)


def _outliers(e: Tensor, v: Tensor) -> Tensor:
    """Of the right variance, with heavier tails."""
    return e * torch.where(e.abs() > 2 * e.std(), 1.5, 0.9)


MUTANTS = mutants(
    "noise",
    ("gaussian", "variance × 2", _stronger(2**0.5), "score-varies-as-the-likelihood-curves"),
    ("gaussian", "standard deviation × 1.05", _stronger(1.05), "score-varies-as-the-likelihood-curves"),
    (
        "gaussian",
        "a bias of a fiftieth of a standard deviation",
        noise(lambda e, v: e + 0.002),
        "score-has-mean-zero-overall",
    ),
    ("gaussian", "a bias of one bin", noise(lambda e, v: e + 0.05 * (v == v.max())), "fidelity-is-its-likelihood"),
    ("gaussian", "the same in a row", noise(_rows), "bins-and-samples-are-uncorrelated"),
    ("gaussian", "correlated with its neighbour", noise(_neighbours), "bins-and-samples-are-uncorrelated"),
    ("gaussian", "uniform of the same variance", around("forward", _uniform), "density-integrates-to-one"),
    ("gaussian", "heavy tails", noise(_outliers), "density-integrates-to-one score-varies-as-the-likelihood-curves"),
    (
        "gaussian",
        "weaker in bright bins",
        noise(lambda e, v: e * (1.2 - 0.13 * v)),
        "score-varies-as-the-likelihood-curves",
    ),
    (
        "gaussian",
        "relative noise weaker in bright bins",
        noise(lambda e, v: e * (1.2 - 0.13 * v)),
        "score-varies-as-the-likelihood-curves",
        {"example": 1},
    ),
    (
        "gaussian",
        "fidelity with 1/σ",
        replaced(fidelity=lambda self: L2(1 / self.sigma)),
        "score-varies-as-the-likelihood-curves",
    ),
    (
        "gaussian",
        "fidelity without 1/σ²",
        replaced(fidelity=lambda self: L2()),
        "score-varies-as-the-likelihood-curves",
    ),
    (
        "gaussian",
        "fidelity of Laplace noise",
        replaced(fidelity=lambda self: L1(1 / self.sigma)),
        "score-varies-as-the-likelihood-curves density-integrates-to-one",
    ),
    ("gaussian", "its own generator", around("forward", _own_generator), "draws-from-its-generator-alone"),
    ("gaussian", "seeds the global generator", around("forward", _global), "draws-from-its-generator-alone"),
    (
        "gaussian",
        "noise of the global generator",
        after("forward", with_global_noise),
        "draws-from-its-generator-alone",
    ),
    ("gaussian", "the same for each sample", around("forward", _same_for_each_sample), "samples-are-independent"),
    (
        "gaussian",
        "real noise on complex data",
        noise(lambda e, v: e.real.to(e.dtype)),
        "complex-data-work-or-are-refused",
    ),
    (
        "gaussian",
        "complex noise half as strong",
        noise(lambda e, v: e * 0.5**0.5 if e.is_complex() else e),
        "complex-noise-is-its-likelihood",
    ),
    ("gaussian", "float64 always", after("forward", double), "keeps-shape-and-precision"),
    ("gaussian", "writes into the measurement", writing_into("forward"), "keeps-shape-and-precision"),
    ("laplace", "scale × 1.5", _stronger(1.5), "score-varies-as-the-likelihood-curves"),
    ("laplace", "scale × 0.9", _stronger(0.9), "density-integrates-to-one score-varies-as-the-likelihood-curves"),
    (
        "laplace",
        "normal of the same variance",
        around("forward", lambda s, o, v, g: v + s.scale * 2**0.5 * torch.randn(v.shape, generator=g, dtype=v.dtype)),
        "density-integrates-to-one score-varies-as-the-likelihood-curves",
    ),
    ("laplace", "one-sided", noise(lambda e, v: e.abs()), "fidelity-is-its-likelihood"),
    (
        "laplace",
        "complex with a fixed phase",
        noise(lambda e, v: e.abs().to(e.dtype) if e.is_complex() else e),
        "complex-noise-is-its-likelihood complex-data-work-or-are-refused",
    ),
    (
        "poisson",
        "the variance of the mean count",
        around("forward", _gaussian_of_counts),
        "score-varies-as-the-likelihood-curves",
    ),
    (
        "poisson",
        "no division by the gain in the fidelity",
        replaced(fidelity=lambda self: KullbackLeibler(gain=2 * self.gain)),
        "score-varies-as-the-likelihood-curves",
    ),
    (
        "poisson",
        "counts of neighbours exchanged",
        after("forward", lambda y: y.roll(1, -1)),
        "fidelity-is-its-likelihood",
    ),
    ("poisson", "one count more", after("forward", lambda y: y + 1), "fidelity-is-its-likelihood"),
    (
        "poisson",
        "rounded down by a half",
        after("forward", lambda y: (y - 0.5).clamp_min(0)),
        "fidelity-is-its-likelihood",
    ),
    ("poisson-transmission", "noise × 1.1", _stronger(1.1), "score-varies-as-the-likelihood-curves"),
    (
        "poisson-transmission",
        "sign of the noise",
        noise(lambda e, v: -e),
        "fidelity-is-its-likelihood density-integrates-to-one",
    ),
    ("none", "a hundredth added", after("forward", lambda y: y * 1.01), "known-values-hold"),
)
