"""Mixed precision: what must not be rounded is kept out of autocast."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")
_HALF = (torch.float16, torch.bfloat16)


def exact(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run `method` outside of any autocast, with half-precision tensors among its arguments in single precision.

    Physics is linear algebra over thousands of sums, and its adjoint test would fail in 8 bits of mantissa.
    """

    @wraps(method)
    def outside(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        devices = [d for d in ("cpu", "cuda") if torch.is_autocast_enabled(d)]
        if not devices:
            return method(*args, **kwargs)
        with torch.autocast(devices[0], enabled=False), torch.autocast(devices[-1], enabled=False):
            single = [a.float() if isinstance(a, Tensor) and a.dtype in _HALF else a for a in args]
            return method(*single, **kwargs)  # type: ignore[arg-type]

    return outside
