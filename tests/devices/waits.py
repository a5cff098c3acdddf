"""What makes the CPU wait for the device, and which line of wellposed asked for it."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .marked import _Call

_ROOT = Path(__file__).resolve().parents[2]
_aten = torch.ops.aten
#: A number, or a decision, is brought to the CPU.
_SCALARS = {_aten._local_scalar_dense.default, _aten.equal.default, _aten._linalg_check_errors.default}
#: The shape of the result depends on values; the decompositions that check their own success wait as well.
_SHAPES = {
    _aten.nonzero.default,
    _aten.masked_select.default,
    _aten._unique2.default,
    _aten.unique_consecutive.default,
    _aten.unique_dim.default,
    _aten.bincount.default,
    _aten._linalg_eigh.default,
    _aten._linalg_svd.default,
    _aten.linalg_eig.default,
}
_INDEXED = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default}


@dataclass(frozen=True)
class Wait:
    """`kind`: scalar, shape, download or upload; `where`: `path:line function`."""

    kind: str
    where: str


@dataclass
class Log:
    """The waits inside a `with second_device()`, in order."""

    waits: list[Wait] = field(default_factory=list)

    def note(self, call: _Call) -> None:
        kind = kind_of(call)
        if kind is not None:
            self.waits.append(Wait(kind, _asked_for()))

    def counts(self) -> Counter[Wait]:
        return Counter(self.waits)

    def clear(self) -> None:
        self.waits.clear()


def kind_of(call: _Call) -> str | None:
    """How an operation waits, if it does; between CPU tensors nothing does."""
    if call.func is _aten._to_copy.default:
        return _copied(bool(call.there), call.gives_there) if not call.kwargs.get("non_blocking") else None
    if call.func is _aten.copy_.default:
        target, source = (isinstance(t, torch.Tensor) and t.device.type != "cpu" for t in call.args[:2])
        return _copied(source, target)
    if not call.there:
        return None
    if call.func in _SCALARS:
        return "scalar"
    if call.func in _SHAPES:
        return "shape"
    if call.func is _aten.where.self:
        return "upload" if call.here else None  # a CPU scalar is copied first, unlike in binary operations
    if call.func is _aten.repeat_interleave.Tensor:
        return "shape" if call.kwargs.get("output_size") is None else None
    return _indexed(call.func, call.args) if call.func in _INDEXED else None


def _copied(source: bool, target: bool) -> str | None:
    if source == target:
        return None
    return "download" if source else "upload"


def _indexed(func: Any, args: tuple) -> str | None:
    """A mask is turned into indices, except where it is filled with one number; indices from here are copied."""
    indices = [i for i in args[1] if i is not None]
    if any(i.dtype in (torch.bool, torch.uint8) for i in indices):
        fills = func is not _aten.index.Tensor and args[2].numel() == 1
        return None if fills else "shape"
    return "upload" if any(i.device.type == "cpu" for i in indices) else None


def _asked_for() -> str:
    """The innermost line of the sources of this house on the stack; of its tests, if there is none."""
    frame, test = sys._getframe(1), "outside"
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if _ROOT in path.parents and path.parent != Path(__file__).parent:
            where = f"{path.relative_to(_ROOT)}:{frame.f_lineno} {frame.f_code.co_name}"
            if "src" in path.parts:
                return where
            test = where if test == "outside" else test
        frame = frame.f_back  # type: ignore[assignment]
    return test
