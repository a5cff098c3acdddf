"""The process-wide settings that importing or using a component must leave alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

_MEANING = {
    "dtype": "torch's default dtype",
    "threads": "torch's number of threads",
    "torch_random": "torch's global random state",
    "numpy_random": "numpy's global random state",
    "python_random": "Python's global random state",
    "gradients": "torch's gradient mode",
    "deterministic": "torch's deterministic mode",
    "numpy_errors": "numpy's handling of floating-point errors",
}


@contextmanager
def watched(sentence: str, *, allow_torch_random: bool = False) -> Iterator[None]:
    """Raise `AssertionError` where the block changes one of those settings; all random states are put back.

    `allow_torch_random`: initial weights are drawn from torch's global generator by custom.
    """
    numpy_random, python_random = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            # Unlikely seeds, so that code which sets a seed of its own does not end up where it began.
            torch.manual_seed(0x5EED5)
            np.random.seed(0x5EED5)
            random.seed(0x5EED5)
            before = GlobalState.now()
            yield
            changed = before.changes()
    finally:
        np.random.set_state(numpy_random)
        random.setstate(python_random)
    if allow_torch_random:
        changed = [change for change in changed if change != _MEANING["torch_random"]]
    if changed:
        raise AssertionError(f"{sentence} changes {', '.join(changed)} for the whole process")


@dataclass(frozen=True)
class GlobalState:
    """A snapshot of those settings."""

    dtype: torch.dtype
    threads: int
    torch_random: bytes
    numpy_random: bytes
    python_random: int
    gradients: bool
    deterministic: bool
    numpy_errors: tuple[tuple[str, Any], ...]

    @classmethod
    def now(cls) -> GlobalState:
        return cls(
            dtype=torch.get_default_dtype(),
            threads=torch.get_num_threads(),
            torch_random=torch.get_rng_state().numpy().tobytes(),
            numpy_random=repr(np.random.get_state(legacy=False)).encode(),
            python_random=hash(random.getstate()),
            gradients=torch.is_grad_enabled(),
            deterministic=torch.are_deterministic_algorithms_enabled(),
            numpy_errors=tuple(sorted(np.geterr().items())),
        )

    def changes(self) -> list[str]:
        """What is different now, in words."""
        now = GlobalState.now()
        return [_MEANING[f.name] for f in fields(self) if getattr(self, f.name) != getattr(now, f.name)]
