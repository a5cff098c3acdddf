"""Mutants of accelerations."""

from __future__ import annotations

from typing import Any

import torch

from .changes import after, around, replaced
from .mutant import mutants


def _plain(self: Any, apply: Any, state: Any, memory: Any) -> Any:
    """No acceleration at all."""
    return apply(state), memory


def _settings(**values: Any) -> Any:
    def init(self: Any, original: Any, *args: Any, **options: Any) -> None:
        original(*args, **options)
        for name, value in values.items():
            setattr(self, name, value)

    return around("__init__", init)


def _before_the_map(self: Any, original: Any, apply: Any, state: Any, memory: Any) -> Any:
    """The bookkeeping of the state before the map."""
    found, memory = original(apply, state, memory)
    return state.unflatten(found.flatten()), memory


def _of_state(what: Any) -> Any:
    return after(
        "advance",
        lambda pair: (pair[0].map(lambda t: what(t) if t.is_floating_point() or t.is_complex() else t), pair[1]),
    )


def _batch_coefficients(self: Any, original: Any, *args: Any) -> Any:
    """One set of mixing coefficients for the whole batch."""
    gamma = original(*args)
    return gamma.mean(0, keepdim=True).expand_as(gamma)


def _absolute(self: Any, original: Any, df: Any, f: Any, fill: Any) -> Any:
    """A regularization that does not scale with the residuals."""
    used = torch.arange(self.memory)[None] < fill[:, None]
    df = torch.where(used[..., None], df, 0.0)
    gram = torch.einsum("bmn,bkn->bmk", df, df) + 1e-4 * torch.eye(self.memory, dtype=df.dtype)
    return torch.linalg.solve(gram, torch.einsum("bmn,bn->bm", df, f)) * used


def _kept_outside(self: Any, original: Any, apply: Any, state: Any, memory: Any) -> Any:
    memory = self.__dict__.get("_memory", memory)
    state, memory = original(apply, state, memory)
    self.__dict__["_memory"] = memory
    return state, memory


def _twice(self: Any, original: Any, apply: Any, state: Any, memory: Any) -> Any:
    for _ in range(3):
        apply(state)
    return original(apply, state, memory)


def _in_place(self: Any, original: Any, apply: Any, state: Any, memory: Any) -> Any:
    result = original(apply, state, memory)
    state.x.mul_(0.999)
    return result


MUTANTS = mutants(
    "accelerations",
    ("anderson", "no acceleration", replaced(advance=_plain), "is-faster-where-it-matters"),
    ("broyden", "no acceleration", replaced(advance=_plain), "is-faster-where-it-matters"),
    ("anderson", "mixing of 0.1", _settings(mixing=0.1), "is-faster-where-it-matters reaches-the-fixed-point"),
    ("anderson", "regularization of 1", _settings(regularization=10.0), "is-faster-where-it-matters"),
    ("anderson", "absolute regularization", around("_coefficients", _absolute), "is-blind-to-units"),
    (
        "anderson",
        "one set of coefficients for the batch",
        around("_coefficients", _batch_coefficients),
        "treats-samples-independently",
    ),
    (
        "anderson",
        "coefficients × 0.8",
        after("_coefficients", lambda g: 0.8 * g),
        "is-faster-where-it-matters",
        {"survives": "it is right, and twice as fast as plain iteration still"},
    ),
    (
        "anderson",
        "coefficients of the other sign",
        after("_coefficients", lambda g: -g),
        "reaches-the-fixed-point is-faster-where-it-matters",
    ),
    ("anderson", "steps × 1.001", _of_state(lambda t: 1.001 * t), "reaches-the-fixed-point stays-at-the-fixed-point"),
    ("broyden", "steps × 1.001", _of_state(lambda t: 1.001 * t), "reaches-the-fixed-point stays-at-the-fixed-point"),
    (
        "anderson",
        "no safeguard, no memory dropped",
        _settings(safeguard=1e30, regularization=0.0),
        "finds-fixed-points-of-rotations reaches-the-fixed-point",
    ),
    ("broyden", "memory of one", _settings(memory=1), "is-faster-where-it-matters"),
    ("anderson", "bookkeeping of the state before", around("advance", _before_the_map), "carries-bookkeeping-on"),
    ("broyden", "bookkeeping of the state before", around("advance", _before_the_map), "carries-bookkeeping-on"),
    ("none", "bookkeeping of the state before", around("advance", _before_the_map), "carries-bookkeeping-on"),
    (
        "anderson",
        "imaginary parts dropped",
        _of_state(lambda t: torch.complex(t.real, 0 * t.real) if t.is_complex() else t),
        "works-in-float32-and-with-complex-images",
    ),
    (
        "broyden",
        "float64 always",
        _of_state(lambda t: t.double() if t.is_floating_point() else t),
        "works-in-float32-and-with-complex-images",
    ),
    (
        "anderson",
        "memory outside its memory",
        around("advance", _kept_outside),
        "changes-nothing-in-place treats-samples-independently",
    ),
    (
        "anderson",
        "three applications too many",
        around("advance", _twice),
        "reaches-the-fixed-point is-faster-where-it-matters",
        {"survives": "four applications a step are still fewer than plain iteration takes, which is what is promised"},
    ),
    ("broyden", "writes into the state", around("advance", _in_place), "changes-nothing-in-place"),
    (
        "anderson",
        "not a number at a fixed point",
        after("_coefficients", lambda g: g / (g.abs().sum(1, keepdim=True) > 0)),
        "stays-at-the-fixed-point finds-fixed-points-of-rotations reaches-the-fixed-point",
    ),
    ("anderson", "memory a tuple", after("init", lambda m: tuple(m.tensors())), "memory-is-a-state"),
    (
        "anderson",
        "batch leaks",
        _of_state(lambda t: t + 1e-5 * t.mean(0, keepdim=True)),
        "treats-samples-independently",
    ),
)
