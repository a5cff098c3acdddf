"""A scan on whatever device and in whatever precision its module is: the engine is built at first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .engine import Engine, EngineName
from .engines import build_engine
from .geometry import Geometry


class Projector(nn.Module):
    """Projects and backprojects channel by channel with an engine that it builds when it is needed.

    The empty buffer `reference`, which is not saved, says where the module is; the engine is built
    there, once, from exact angles. A copy or a pickle of the module leaves the engine behind.
    """

    def __init__(self, geometry: Geometry, engine: EngineName, memory_limit: float) -> None:
        super().__init__()
        self.geometry = geometry
        self.engine_name: EngineName = engine
        self.memory_limit = memory_limit
        self.register_buffer("reference", torch.empty(0), persistent=False)
        self._built: tuple[Tensor, Engine] | None = None

    reference: Tensor

    @property
    def engine(self) -> Engine:
        """The engine for this device and precision."""
        if self._built is None or not alike(self._built[0], self.reference):
            self._built = None  # free the old one first
            engine = build_engine(self.engine_name, self.geometry, self.reference, self.memory_limit)
            self._built = (self.reference, engine)
        return self._built[1]

    def forward(self, x: Tensor) -> Tensor:
        """Sinograms `(B, C, views, bins)` of images `(B, C, rows, columns)`."""
        return _transposable(x, self._project, self._backproject)

    def adjoint(self, y: Tensor) -> Tensor:
        """The transpose of `forward`."""
        return _transposable(y, self._backproject, self._project)

    def _project(self, x: Tensor) -> Tensor:
        return self.engine.project(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def _backproject(self, y: Tensor) -> Tensor:
        return self.engine.backproject(y.flatten(0, 1)).unflatten(0, y.shape[:2])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_built": None}


def _transposable(x: Tensor, apply: Callable[[Tensor], Tensor], transpose: Callable) -> Tensor:
    if torch.is_grad_enabled() and x.requires_grad:
        return _Transposable.apply(x, apply, transpose)  # type: ignore[no-any-return]
    return apply(x)


class _Transposable(torch.autograd.Function):
    """A linear map whose derivative is the transpose of an engine, which no tape could see through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, apply: Callable[[Tensor], Tensor], transpose: Callable) -> Tensor:
        ctx.maps = apply, transpose
        return apply(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        apply, transpose = ctx.maps
        return _Transposable.apply(grads[0], transpose, apply), None, None


def alike(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have one precision and are on one device."""
    return a.dtype == b.dtype and a.device == b.device
