"""A second device without hardware: tensors that live elsewhere by word alone, and hold to CUDA's rules.

`with second_device() as log:` makes `DEVICE` (PyTorch's `lazy`, which no build here has) a device like CUDA.
`.to(DEVICE)`, `module.to(DEVICE)` and `torch.zeros(…, device=DEVICE)` give tensors whose numbers lie in CPU memory
and whose `device` is `lazy:0`. They keep CUDA's rules:

- A tensor from here and one from there do not meet (`DeviceError`). Exceptions, as on CUDA: a CPU scalar (no
  dimensions) in a pointwise operation, a CPU index of a tensor there, and copies.
- NumPy does not read a tensor there, and a CPU generator does not draw one.
- `item`, `bool`, `float`, `tolist`, copies both ways and shapes that depend on values (`nonzero`, a mask as index)
  make the CPU wait for the device; `log` keeps each with the line of wellposed that asked for it.

Autograd, forward mode, custom functions and optimisers go through unchanged. What it cannot tell: whether a CUDA
kernel exists, is deterministic or is fast. `test_marked.py` holds these rules against a GPU where there is one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .waits import Log

DEVICE = torch.device("lazy")
_HERE = torch.device("cpu")
_aten = torch.ops.aten

#: What may mix the devices, apart from pointwise operations with a scalar.
_COPIES = {_aten.copy_.default, _aten._to_copy.default, _aten._foreach_copy_.default}
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._unsafe_index.Tensor}
_SCALAR_VALUE = {
    _aten.masked_fill.Tensor,
    _aten.masked_fill_.Tensor,
    _aten.fill.Tensor,
    _aten.fill_.Tensor,
    _aten.where.self,
}


class DeviceError(RuntimeError):
    """Two devices meet where CUDA would refuse it."""


class Marked(Tensor):
    """A tensor on `DEVICE`; `inner` holds its numbers."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> Marked:
        like: dict[str, Any] = {"dtype": inner.dtype, "device": torch.device("lazy:0")}
        if inner.layout is torch.strided:  # a sparse one looks dense from outside; operations see `inner`
            like |= {"strides": inner.stride(), "storage_offset": inner.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, **like)

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        raise DeviceError(f"{func} of a tensor on {DEVICE} outside `with second_device()`")

    # Two methods that say to torch.nn.Module.to that a parameter is swapped as a whole.
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> Marked:
        return Marked(inner["inner"])

    # What C++ does behind the modes' backs: Python data on a device, and lists of numbers as indices.
    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_index(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_index(index), value)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"NumPy does not read a tensor on {DEVICE}; use .cpu() first")

    __array__ = numpy

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        return torch.tensor(data, **{"dtype": self.dtype, "device": self.device, **options})

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.ndim == 0 else str(self), spec)

    def __repr__(self, *_: Any, **__: Any) -> str:
        return f"{self.inner!r} on {DEVICE}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            twin = Marked(copy.deepcopy(self.inner))
            known = isinstance(self, torch.nn.Parameter)
            memo[id(self)] = torch.nn.Parameter(twin, self.requires_grad) if known else twin
            memo[id(self)].requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise DeviceError(f"a tensor on {DEVICE} is pickled; a file should hold CPU tensors")


@contextmanager
def second_device() -> Iterator[Log]:
    """`DEVICE` is there inside the block."""
    log = Log()
    swapped = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    # torch.utils.checkpoint looks for the module of a device.
    torch.lazy = SimpleNamespace(_initialized=False)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swapped)
        stack.callback(delattr, torch, "lazy")
        for name in ("tensor", "as_tensor", "asarray"):
            stack.callback(setattr, torch, name, getattr(torch, name))
            setattr(torch, name, _constructor(getattr(torch, name)))
        stack.enter_context(_Operations(log))
        yield log


def _constructor(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`make` for Python and NumPy data that end up there: made here and copied, as CUDA's are."""

    def made(*args: Any, **kwargs: Any) -> Tensor:
        if _is_there(kwargs.get("device")):
            return make(*args, **{**kwargs, "device": None}).to(DEVICE)
        return make(*args, **kwargs)

    return made


class _Operations(TorchDispatchMode):
    """Computes every operation on the CPU, after asking whether CUDA would."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        call = _Call(func, args, kwargs or {})
        call.check()
        self.log.note(call)
        return call.run()


class _Call:
    """One operation with what its arguments say about devices."""

    def __init__(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        # Forward mode's zero tensors are known by a key that a wrapper does not show.
        self.func = _aten.zeros.default if func is _aten._efficientzerotensor.default else func
        self.args, self.kwargs = args, kwargs
        self.there: list[Marked] = []
        self.here: list[Tensor] = []
        self.generator: torch.Generator | None = None
        _visit((args, kwargs), self._sort)
        asked = kwargs.get("device")
        self.gives_there = bool(self.there) if asked is None else _is_there(asked)

    def _sort(self, leaf: Any) -> Any:
        if isinstance(leaf, Marked):
            self.there.append(leaf)
        elif isinstance(leaf, Tensor):
            self.here.append(leaf)
        elif isinstance(leaf, torch.Generator):
            self.generator = leaf
        return leaf

    def check(self) -> None:
        if self.generator is not None and self.gives_there:
            raise DeviceError(f"{self.func}: expected a generator on {DEVICE}, found one on {self.generator.device}")
        if not (self.there and self.here) or self.func in _COPIES:
            return
        if not self._may_meet():
            shapes = [tuple(t.shape) for t in self.there], [tuple(t.shape) for t in self.here]
            raise DeviceError(
                f"{self.func}: expected all tensors on one device, found {shapes[0]} on {DEVICE} and {shapes[1]} on cpu"
            )

    def _may_meet(self) -> bool:
        if self.func in _INDEXING:
            indices = [t for t in self.args[1] if t is not None]
            rest = [t for t in self.here if not any(t is i for i in indices)]
            return isinstance(self.args[0], Marked) and all(t.ndim == 0 for t in rest)
        # Of three operands (clamp, lerp, addcmul) CUDA takes no CPU scalar, at least not in every version.
        binary = torch.Tag.pointwise in self.func.tags and len(self.there) + len(self.here) == 2
        written = self.func._schema.is_mutable and not isinstance(self.args[0], Marked)
        return (binary or self.func in _SCALAR_VALUE) and not written and all(t.ndim == 0 for t in self.here)

    def run(self) -> Any:
        outer = {id(t.inner): t for t in self.there}
        result = self.func(*_visit(self.args, _inner), **_visit(self.kwargs, _inner))

        def wrap(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if id(leaf) in outer:  # what an operation in place gives back is what it was given
                return outer[id(leaf)]
            # A wrapper cannot show the conjugate and negative bits, so its numbers have none.
            return Marked(leaf.resolve_conj().resolve_neg()) if self.gives_there else leaf

        return _visit(result, wrap)


def _visit(tree: Any, change: Callable[[Any], Any]) -> Any:
    """`tree` with every leaf changed; arguments of operations are nested tuples, lists and dictionaries."""
    if isinstance(tree, (tuple, list)):
        return type(tree)([_visit(t, change) for t in tree])
    if isinstance(tree, dict):
        return {key: _visit(value, change) for key, value in tree.items()}
    return change(tree)


def _index(index: Any) -> Any:
    """An index with its lists of numbers on `DEVICE`, where C++ would put them."""
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    return torch.as_tensor(index).to(DEVICE) if isinstance(index, (list, np.ndarray)) else index


def _inner(leaf: Any) -> Any:
    if isinstance(leaf, Marked):
        return leaf.inner
    return _HERE if isinstance(leaf, torch.device) and _is_there(leaf) else leaf


def _is_there(device: Any) -> bool:
    name = device.type if isinstance(device, torch.device) else device
    return isinstance(name, str) and name.split(":")[0] == DEVICE.type
