"""Mutants of patterns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .changes import after, around, times
from .mutant import mutants


def _transposed(self: Any, original: Any, shape: tuple[int, ...]) -> Tensor:
    return original(shape[::-1])


def _without_seed(self: Any, original: Any, *args: Any, **options: Any) -> None:
    original(*args, **options)
    self.seed = 0


def _sparser(mask: Tensor) -> Tensor:
    mask = mask.clone()
    mask.view(-1)[mask.view(-1).nonzero()[-1]] = False
    return mask


def _kept(self: Any, original: Any, shape: tuple[int, ...]) -> Tensor:
    if "_tensor" not in self.__dict__:
        self.__dict__["_tensor"] = original(shape)
    return self.__dict__["_tensor"]


def _global(self: Any, original: Any, shape: tuple[int, ...]) -> Tensor:
    self.seed = int(torch.randint(1 << 20, (1,)))
    return original(shape)


MUTANTS = mutants(
    "patterns",
    *(
        (base, "× 3", after("__call__", times(3.0)), "total-is-kept")
        for base in ("gaussian-kernel", "disk-kernel", "motion-kernel", "camera-shake-kernel")
    ),
    (
        "gaussian-kernel",
        "of twice the sigma",
        around("__init__", lambda s, o, sigma, size=None: o(2 * sigma, size)),
        "known-values-hold",
    ),
    ("disk-kernel", "a square", after("__call__", lambda k: torch.full_like(k, 1 / k.numel())), "known-values-hold"),
    ("motion-kernel", "along the columns", after("__call__", lambda k: k.mT), "known-values-hold"),
    (
        "motion-kernel",
        "negative ripples",
        after(
            "__call__",
            lambda k: k + 1e-3 * torch.cos(torch.pi * torch.arange(k.numel())).view_as(k) * (k.numel() % 2 == 0) - 1e-5,
        ),
        "total-is-kept",
    ),
    ("gaussian-columns", "not normalised", after("__call__", times(1.1)), "known-values-hold"),
    (
        "gaussian-columns",
        "rows normalised",
        after("__call__", lambda m: m / m.norm(dim=1, keepdim=True)),
        "known-values-hold",
    ),
    *(
        (base, "sides exchanged", around("__call__", _transposed), "fits-the-shape-asked-for")
        for base in ("cartesian-mask", "radial-mask", "pixel-mask", "birdcage", "full-mask", "random-mask")
    ),
    *(
        (base, "inverted", after("__call__", torch.logical_not), "total-is-kept sees-the-middle")
        for base in ("cartesian-mask", "random-mask", "poisson-disc-mask", "full-mask")
    ),
    ("pixel-mask", "a point less", after("__call__", _sparser), "total-is-kept"),
    (
        "random-mask",
        "centre moved to the corner",
        after("__call__", lambda m: torch.fft.ifftshift(m)),
        "sees-the-middle",
        {"example": 1},
    ),
    (
        "cartesian-mask",
        "centre moved to the border",
        after("__call__", lambda m: m.roll(m.shape[-1] // 2, -1)),
        "sees-the-middle",
    ),
    (
        "radial-mask",
        "centre moved",
        after("__call__", lambda m: m.roll((3, 5), (0, 1))),
        "known-values-hold sees-the-middle",
        {"survives": "spokes promise no calibration square, and the kit knows none of their points"},
    ),
    *(
        (base, "seed ignored", around("__init__", _without_seed), "seed-changes-the-draw")
        for base in ("random-mask", "pixel-mask", "cartesian-mask", "poisson-disc-mask", "gaussian-columns")
    ),
    ("birdcage", "not normalised", after("__call__", times(2.0)), "known-values-hold"),
    ("birdcage", "conjugated", after("__call__", lambda m: m.flip(0)), "known-values-hold"),
    ("pixel-mask", "the global generator", around("__call__", _global), "is-repeatable"),
    ("radial-mask", "hands out what it keeps", around("__call__", _kept), "gives-its-own-tensor"),
    ("gaussian-kernel", "not finite", after("__call__", lambda k: k / 0), "gives-finite-tensor"),
)
