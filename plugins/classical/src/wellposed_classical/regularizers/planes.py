"""Images as real planes `(N, J, *spatial)`, for iterations that know neither channels nor complex numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import InputError

from ..differences import check_image


def to_planes(x: Tensor, joint: bool, who: str) -> Tensor:
    """`(B, C, *spatial)` as planes: `J` are the numbers of a pixel that are coupled.

    `joint` couples the channels; real and imaginary part always are.
    """
    check_image(x, who)
    if not (x.is_complex() or x.is_floating_point()):
        raise InputError(f"{who} takes floating-point images, got {x.dtype}; call .float() first")
    if x.is_complex():
        pairs = torch.view_as_real(x.resolve_conj()).movedim(-1, 2)
        return pairs.reshape(len(x), -1, *x.shape[2:]) if joint else pairs.reshape(-1, 2, *x.shape[2:])
    return x if joint else x.reshape(-1, 1, *x.shape[2:])


def from_planes(planes: Tensor, like: Tensor) -> Tensor:
    """The images that the planes came from."""
    if not like.is_complex():
        return planes.reshape(like.shape)
    pairs = planes.reshape(*like.shape[:2], 2, *like.shape[2:]).movedim(2, -1)
    return torch.view_as_complex(pairs.contiguous())


def plane_weights(step: float | Tensor, x: Tensor, joint: bool) -> Tensor:
    """The step of a proximal map, a number or `(B,)`, for each plane."""
    if not bool(torch.as_tensor(step >= 0).all()):
        raise InputError(f"the step of a proximal map must be ≥ 0; got {step}")
    like = x.new_empty(0, dtype=x.dtype.to_real())
    weights = step.to(like) if isinstance(step, Tensor) else like.new_full((), step)
    weights = weights.expand(len(x))
    return weights if joint else weights.repeat_interleave(x.shape[1])
