"""What every pattern promises: the same tensor for the same parameters, and a fresh one each time."""

from __future__ import annotations

import torch

from ..recipes.builder import constructor_parameters
from .global_state import watched
from .measure import at_most, same_tensor, that
from .promise import NotPromised, check
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


@check(since="0.2")
def fits_the_shape_asked_for(subject: Subject) -> None:
    """The last sizes are those asked for, rows before columns, or the pattern has the same size of its own for all."""
    pattern = subject.build()
    own = tuple(pattern(_SHAPE).shape)
    for shape in ((12, 20), (20, 12)):
        found = tuple(pattern(shape).shape)
        that(
            found[-2:] == shape or found == own,
            f"{subject.label} of shape {shape} must end in that shape, or have a size of its own; it is {found}",
        )


@check(since="0.2")
def total_is_kept(subject: Subject) -> None:
    """The entries add up to `total(shape)` where that is stated; those of a kernel (1) are nonnegative."""
    pattern = subject.build()
    for shape in (_SHAPE, (12, 20)):
        total = pattern.total(shape)
        if total is None:
            raise NotPromised("its parameters promise no sum")
        tensor = pattern(shape).to(torch.float64)
        at_most(
            abs(float(tensor.sum()) - total), 1e-6 * abs(total), f"the sum of {subject.label}{shape} less {total:g}"
        )
        that(bool((tensor >= 0).all()), f"{subject.label} has negative entries")


@check(since="0.2")
def seed_changes_the_draw(subject: Subject) -> None:
    """Where the constructor takes a seed, another one gives another tensor."""
    if "seed" not in constructor_parameters(subject.cls):
        raise NotPromised("it takes no seed")
    drawn = [
        Subject(subject.kind, subject.cls, {**subject.arguments, "seed": seed}, subject.name).build()((24, 16))
        for seed in (11, 12)
    ]
    that(not torch.equal(*drawn), f"{subject.label} gives the same tensor for every seed")


@check(since="0.2")
def sees_the_middle(subject: Subject) -> None:
    """A mask with a fully sampled centre holds it: arguments `calibration` and `center_fraction` mean the middle."""
    pattern = subject.build()
    tensor = pattern((24, 32))
    side = int(getattr(pattern, "calibration", 0) or 0) or int(getattr(pattern, "center_fraction", 0) > 0)
    if tensor.dtype != torch.bool or side < 1:
        raise NotPromised("it promises no fully sampled centre")
    rows, columns = (slice(n // 2 - side // 2, n // 2 - side // 2 + side) for n in (24, 32))
    that(bool(tensor[rows, columns].all()), f"{subject.label} must hold the {side} × {side} points around the middle")


CHECKS = (
    gives_finite_tensor,
    is_repeatable,
    gives_its_own_tensor,
    fits_the_shape_asked_for,
    total_is_kept,
    seed_changes_the_draw,
    sees_the_middle,
)
