"""Mutants of solvers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from wellposed.solution import Verdict

from .changes import (
    after,
    around,
    batch_centred,
    detached,
    double,
    flipped,
    remembering,
    times,
    with_global_noise,
)
from .mutant import Change, mutants

TRUE = "images-truly"


def image(what: Any) -> Change:
    """The image of `forward` and of `solve`, changed alike."""

    def change(base: Any) -> type:
        class Changed(base):
            _inside = False

            def forward(self, *args: Any, **options: Any) -> Tensor:
                self.__dict__["_depth"] = self.__dict__.get("_depth", 0) + 1
                try:
                    x = super().forward(*args, **options)
                finally:
                    self.__dict__["_depth"] -= 1
                return x if self.__dict__["_depth"] or self.__dict__.get("_solving") else what(x)  # changed once

            def solve(self, *args: Any, **options: Any) -> Any:
                inside = self.__dict__.get("_depth", 0) > 0
                self.__dict__["_solving"] = True
                try:
                    found = super().solve(*args, **options)
                finally:
                    self.__dict__["_solving"] = False
                return found if inside else replace(found, x=what(found.x))

        return Changed

    return change


def _warm(self: Any, original: Any, y: Tensor, operator: Any) -> Tensor:
    x = original(y, operator)
    last = self.__dict__.get("_last")
    self.__dict__["_last"] = x.detach()
    return x if last is None or last.shape != x.shape else x + 1e-6 * last


def _bounds(factor: float) -> Change:
    return after("solve", lambda s: replace(s, bound=None if s.bound is None else factor * s.bound))


def _all_converged(solution: Any) -> Any:
    return replace(solution, verdict=(Verdict.CONVERGED,) * len(solution.verdict))


def _anything(self: Any, original: Any, y: Tensor, operator: Any) -> Tensor:
    return original(y[tuple(slice(0, n) for n in (len(y), *operator.range.shape))], operator)


def _rough(image: Tensor) -> Tensor:
    return image.to(torch.bfloat16).to(image.dtype) * 1.02 if image.dtype == torch.float32 else image


def _by_norm(image: Tensor) -> Tensor:
    return image / image.flatten(1).norm(dim=1).reshape(-1, *([1] * (image.ndim - 1)))


_ALL = ("filtered-backprojection", "tikhonov-direct", "truncated-svd", "pseudo-inverse", "zero-filled", "iterative")

MUTANTS = mutants(
    "solvers",
    *((base, "image × 2", image(times(2.0)), TRUE) for base in _ALL),
    *((base, "image flipped", image(flipped), TRUE) for base in _ALL),
    *((base, "image zero", image(times(0.0)), TRUE) for base in _ALL[:4]),
    ("filtered-backprojection", "image × 1.3", image(times(1.3)), TRUE),
    ("filtered-backprojection", "image transposed", image(lambda x: x.mT), TRUE),
    ("measurement", "image negated", image(times(-1.0)), TRUE),
    ("tikhonov-direct", "α × 1000", around("forward", lambda s, o, y, a: 0.01 * o(y, a)), TRUE),
    ("truncated-svd", "image mirrored", image(lambda x: x.flip(-2)), TRUE),
    ("pseudo-inverse", "mean over the batch", image(batch_centred), "treats-samples-independently"),
    ("iterative", "a warm start", around("forward", _warm), "has-no-hidden-state"),
    (
        "filtered-backprojection",
        "second call differs",
        remembering("forward", lambda x, n: x * (1 + 1e-6 * n)),
        "has-no-hidden-state",
    ),
    (
        "zero-filled",
        "noise of the global generator",
        image(with_global_noise),
        "has-no-hidden-state solving-changes-nothing",
    ),
    ("iterative", "all verdicts converged", after("solve", _all_converged), "survives-broken-measurements"),
    ("pseudo-inverse", "all verdicts converged", after("solve", _all_converged), "survives-broken-measurements"),
    (
        "iterative",
        "a bound of a thousandth",
        _bounds(1e-3),
        "certified-bounds-hold",
        {"example": {"iteration": "gradient-descent", "fidelity": "l2", "regularizer": {"use": "tikhonov"}}},
    ),
    ("pseudo-inverse", "accepts measurements of other shapes", around("forward", _anything), "refuses-other-shapes"),
    ("post-processing", "image detached", after("forward", detached), "overfits-one-sample"),
    ("learned-proximal-gradient", "image detached", after("forward", detached), "overfits-one-sample"),
    ("learned-primal-dual", "float64 always", after("forward", double), "works-in-float32"),
    ("tikhonov-direct", "float64 always", after("forward", double), "works-in-float32"),
    ("truncated-svd", "rough in float32", after("forward", _rough), "works-in-float32"),
    ("tikhonov-direct", "normalised images", image(_by_norm), f"{TRUE} measurements-of-nothing-are-solved"),
    ("iterative", "forward and solve differ", after("forward", times(1.001)), "gives-verdicts"),
    (
        "ista-net-plus",
        "weights lost on the way",
        after("state_dict", lambda d: {k: v * 1.01 for k, v in d.items()}),
        "weights-survive-safetensors state-survives-safetensors",
    ),
    (
        "equivariant-proximal-gradient",
        "brighter to the right",
        image(lambda x: x * torch.linspace(1, 1.1, x.shape[-1], dtype=x.dtype)),
        "claimed-equivariances-hold",
    ),
    ("post-processing", "mean over the batch", image(batch_centred), "treats-samples-independently"),
    (
        "equilibrium-proximal",
        "second call differs",
        remembering("forward", lambda x, n: x * (1 + 1e-6 * n)),
        "has-no-hidden-state",
    ),
)
