"""Components that are modules of torch: they move between devices and precisions."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .errors import InputError
from .interface import Component

M = TypeVar("M", bound="ComponentModule")


class ComponentModule(Component, nn.Module):
    """A component whose buffers, parameters and parts move with it (`to`, `cuda`, `double`, …).

    Raises `InputError` where it is sent to a device that this machine or this build of torch does not have.
    """

    def _apply(self: M, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> M:
        try:
            return super()._apply(fn, recurse)
        except (RuntimeError, AssertionError) as error:
            if not _of_absent_device(error):
                raise
            raise InputError(
                f"{type(self).__name__} cannot be moved there: {str(error).splitlines()[0].rstrip('.')}. Devices "
                f"here: {', '.join(_devices())}"
            ) from None


def _of_absent_device(error: Exception) -> bool:
    """Whether torch says that a device is not there; it has no exception of its own for that."""
    text = str(error)
    if isinstance(error, InputError | torch.OutOfMemoryError):
        return False
    if not torch.cuda.is_available() and ("CUDA" in text or "NVIDIA" in text):
        return True
    return "not linked with support for" in text or "invalid device ordinal" in text


def _devices() -> list[str]:
    return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]


def check_factor(factor: Any, of: str) -> None:
    """Raise `InputError` unless `factor` is a number, or a tensor of one, that may multiply `of`."""
    if isinstance(factor, Tensor) and factor.numel() == 1 and not factor.is_complex():
        return
    if isinstance(factor, Real) and not isinstance(factor, bool):
        return
    kind = f"a tensor of shape {tuple(factor.shape)}" if isinstance(factor, Tensor) else f"a {type(factor).__name__}"
    raise InputError(f"{of} is multiplied with a real number; {kind} was given")
