"""Constructor arguments that several operators share, checked once here."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.pattern import Pattern


def image_size(shape: Sequence[int], owner: object) -> tuple[int, int]:
    """`(height, width)` as given by `shape`; raises `ShapeError` for anything else."""
    if not _are_sizes(shape) or len(shape) != 2:
        given = list(shape) if isinstance(shape, Sequence) else shape
        raise ShapeError(
            f"{_name(owner)} takes shape: [height, width] with positive sizes; {given} was given "
            f"(channels are an argument of their own)"
        )
    return int(shape[0]), int(shape[1])


def sizes(shape: Sequence[int], owner: object) -> tuple[int, ...]:
    """The sizes along any number of axes; raises `ShapeError` for what is no list of positive whole numbers."""
    if not _are_sizes(shape) or not shape:
        raise ShapeError(f"{_name(owner)} takes shape: a list of positive sizes, such as [32, 32]; {shape} was given")
    return tuple(int(n) for n in shape)


def _are_sizes(shape: object) -> bool:
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        return False
    return all(isinstance(n, Integral) and not isinstance(n, bool) and n >= 1 for n in shape)


def resolve(source: Pattern | Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor that a pattern describes, or the given tensor itself, detached from any graph."""
    tensor = source(shape) if isinstance(source, Pattern) else source
    return tensor.detach()


def binary_mask(
    source: Pattern | Tensor, shape: tuple[int, int], owner: object, channels: int = 1
) -> tuple[Tensor, bool]:
    """A mask of zeros and ones as bool, and whether it is per sample.

    `(H, W)`, the same for all samples, or `(B, 1 or C, H, W)`.
    Raises `ShapeError` for another shape, `InputError` for other values or an empty mask.
    """
    mask = resolve(source, shape)
    per_sample = mask.ndim == 4
    if tuple(mask.shape[-2:]) != shape or mask.ndim not in (2, 4):
        raise ShapeError(
            f"{_name(owner)} takes a mask of shape {shape} or (batch, 1, {shape[0]}, {shape[1]}); "
            f"{tuple(mask.shape)} was given"
        )
    if per_sample and mask.shape[1] not in (1, channels):
        raise ShapeError(
            f"{_name(owner)} has {channels} channels; a mask per sample has 1 or {channels}, not {mask.shape[1]}"
        )
    chosen = mask != 0
    if mask.dtype != torch.bool and not bool((chosen.to(mask.dtype) == mask).all()):
        raise InputError(
            f"{_name(owner)} takes a mask of zeros and ones; values from {float(mask.min()):g} to "
            f"{float(mask.max()):g} were given"
        )
    if not bool(chosen.flatten(-2).any(-1).all()):
        raise InputError(f"{_name(owner)} was given a mask without a single observed entry")
    return chosen, per_sample


def check_positive(value: float, what: str, owner: object) -> None:
    if not value > 0:
        raise InputError(f"{_name(owner)} needs {what} > 0; {value} was given")


def check_fraction(value: float, what: str, owner: object) -> None:
    if not 0 < value <= 1:
        raise InputError(f"{_name(owner)} needs {what} in (0, 1]; {value} was given")


def generator(seed: int) -> torch.Generator:
    """A CPU generator: the same numbers on every device."""
    return torch.Generator().manual_seed(seed)


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__
