"""Mutants of networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .changes import (
    after,
    around,
    attributes,
    batch_centred,
    detached,
    double,
    every,
    remembering,
    through_half,
    times,
    with_global_noise,
)
from .mutant import mutants


def _square_only(self: Any, original: Any, x: Tensor) -> Tensor:
    y = original(x)
    return y if x.shape[-1] == x.shape[-2] else y[..., : min(x.shape[-2:])]


def _counting(self: Any, original: Any, x: Tensor) -> Tensor:
    """A running mean that is updated in evaluation mode too."""
    with torch.no_grad():
        next(iter(self.parameters())).mul_(1.0001)
    return original(x)


def _shifted(x: Tensor) -> Tensor:
    return x * torch.linspace(1, 1.1, x.shape[-1], dtype=x.dtype)


def _straight_through(y: Tensor) -> Tensor:
    """The right value with twice the derivative."""
    return 2 * y - y.detach()


_PLAIN = ("residual", "unet", "contractive-residual", "proximal-network")

MUTANTS = mutants(
    "networks",
    *(
        (base, "detached", after("forward", detached), "every-parameter-learns derivatives-are-right")
        for base in _PLAIN
    ),
    *(
        (base, "twice the derivative", after("forward", _straight_through), "derivatives-are-right")
        for base in _PLAIN[:3]
    ),
    *((base, "mean over the batch", after("forward", batch_centred), "is-pure-and-samplewise") for base in _PLAIN),
    ("residual", "half precision in float32", after("forward", through_half), "is-the-same-in-float32"),
    ("unet", "half precision in float32", after("forward", through_half), "is-the-same-in-float32"),
    ("unet", "for square images alone", around("forward", _square_only), "takes-images-of-other-sizes"),
    ("residual", "for square images alone", around("forward", _square_only), "takes-images-of-other-sizes"),
    (
        "contractive-residual",
        "lipschitz × 0.5",
        every(
            attributes(),
            lambda base: type("Changed", (base,), {"lipschitz": property(lambda s: 0.5 * base.lipschitz.fget(s))}),
        ),
        "claimed-lipschitz-constant-holds",
    ),
    ("contractive-residual", "output × 20", after("forward", times(20.0)), "claimed-lipschitz-constant-holds"),
    ("cyclic-proximal-network", "brighter to the right", after("forward", _shifted), "claimed-equivariances-hold"),
    (
        "proximal-network",
        "claims to commute with quarter turns",
        attributes(equivariances=frozenset({"c4"})),
        "claimed-equivariances-hold",
        {"example": 1},
    ),
    (
        "residual",
        "weights change in evaluation",
        around("forward", _counting),
        "evaluation-changes-nothing is-pure-and-samplewise",
    ),
    ("unet", "noise of the global generator", after("forward", with_global_noise), "is-pure-and-samplewise"),
    (
        "residual",
        "second call differs",
        remembering("forward", lambda y, n: y * (1 + 1e-6 * n)),
        "is-pure-and-samplewise",
    ),
    ("unet", "float64 always", after("forward", double), "maps-images-to-images"),
    ("residual", "a row lost", after("forward", lambda y: y[..., 1:, :]), "maps-images-to-images"),
    ("gaussian-diffusion", "not finite", after("forward", lambda y: y / 0), "maps-images-to-images"),
)
