"""What every pattern promises: the same tensor for the same parameters, and a fresh one each time."""

from __future__ import annotations

import torch

from .global_state import watched
from .measure import same_tensor, that
from .promise import check
from .subject import Subject

_SHAPE = (16, 16)


@check()
def gives_finite_tensor(subject: Subject) -> None:
    """A pattern is a finite tensor that has at least the spatial dimensions and is not all zero."""
    tensor = subject.build()(_SHAPE)
    that(isinstance(tensor, torch.Tensor), f"{subject.label} must give a tensor, not a {type(tensor).__name__}")
    that(tensor.ndim >= len(_SHAPE), f"{subject.label} gives shape {tuple(tensor.shape)} for images {_SHAPE}")
    that(bool(torch.isfinite(tensor).all()), f"{subject.label} holds values that are not finite")
    that(bool((tensor != 0).any()), f"{subject.label} is zero everywhere")


@check()
def is_repeatable(subject: Subject) -> None:
    """Two instances with the same parameters give the same tensor, and do not touch global random numbers."""
    with watched(f"{subject.label} has no generator of its own; it"):
        first, second = subject.build()(_SHAPE), subject.build()(_SHAPE)
    that(same_tensor(first, second), f"{subject.label} must depend on its parameters alone; two calls differ")


@check()
def gives_its_own_tensor(subject: Subject) -> None:
    """Writing into the tensor does not change what the next call gives."""
    pattern = subject.build()
    first = pattern(_SHAPE)
    kept = first.clone()
    first.zero_()
    that(same_tensor(pattern(_SHAPE), kept), f"{subject.label} hands out a tensor that it keeps; return a copy")


CHECKS = (gives_finite_tensor, is_repeatable, gives_its_own_tensor)
