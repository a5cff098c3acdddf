"""States of iterations: small typed records of batched tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

S = TypeVar("S", bound="State")


def bookkeeping() -> Any:
    """A field that steers the iteration (step sizes, counters) but is no part of the fixed point."""
    return field(metadata={"bookkeeping": True})


def derived() -> Any:
    """A bookkeeping field that a step computes from the fixed-point fields (an error bound of the image).

    It is only true together with them: `unflatten` sets it to not-a-number for samples whose fixed-point
    fields it changes, and its reader recomputes it.
    """
    return field(metadata={"bookkeeping": True, "derived": True})


@dataclass(frozen=True)
class State:
    """Base of all states. Fields are tensors `(B, …)` or tuples of such; subclasses are frozen dataclasses.

    Accelerations and implicit gradients see a state as one matrix `(B, n)` of real numbers, by
    `flatten` and `unflatten`; `bookkeeping()` fields stay out of it.
    """

    def map(self: S, fn: Callable[[Tensor], Tensor], *, bookkeeping: bool = True) -> S:
        """A state of the same type with `fn` applied to every tensor."""
        changed = {
            f.name: _map(fn, getattr(self, f.name))
            for f in fields(self)
            if bookkeeping or not f.metadata.get("bookkeeping")
        }
        return replace(self, **changed)

    def take(self: S, index: Tensor) -> S:
        """The samples `index`. Counters may live on the CPU beside images on a GPU."""
        return self.map(lambda t: t[index.to(t.device)])

    def put(self: S, index: Tensor, part: S) -> S:
        """This state with the samples `index` replaced by those of `part`."""
        values = iter(part.tensors(bookkeeping=True))
        return self.map(lambda t: t.index_copy(0, index.to(t.device), next(values)))

    def detach(self: S) -> S:
        return self.map(torch.Tensor.detach)

    def tensors(self, *, bookkeeping: bool = False) -> list[Tensor]:
        """The tensors of the state, those of the fixed point alone by default."""
        found: list[Tensor] = []
        for f in fields(self):
            if bookkeeping or not f.metadata.get("bookkeeping"):
                value = getattr(self, f.name)
                found.extend(value if isinstance(value, tuple) else (value,))
        return found

    def flatten(self) -> Tensor:
        """The fixed-point tensors as one real matrix `(B, n)`."""
        return torch.cat([_as_real(t).reshape(len(t), -1) for t in self.tensors()], dim=1)

    def unflatten(self: S, matrix: Tensor) -> S:
        """This state with its fixed-point tensors read from `matrix`, the inverse of `flatten`."""
        offset = 0

        def read(t: Tensor) -> Tensor:
            nonlocal offset
            like = _as_real(t)
            size = like.shape[1:].numel()
            part = matrix[:, offset : offset + size].reshape(like.shape).to(like.dtype)
            offset += size
            return torch.complex(part[..., 0], part[..., 1]) if t.is_complex() else part

        return replace(self.map(read, bookkeeping=False), **self._derived_beside(matrix))

    def _derived_beside(self, matrix: Tensor) -> dict[str, Any]:
        """The derived fields, not-a-number for samples whose row of `matrix` is another."""
        names = [f.name for f in fields(self) if f.metadata.get("derived")]
        if not names:
            return {}
        with torch.no_grad():
            same = (matrix == self.flatten()).all(1)

        def keep(t: Tensor) -> Tensor:
            return torch.where(same.reshape(-1, *([1] * (t.ndim - 1))), t, torch.nan)

        return {name: _map(keep, getattr(self, name)) for name in names}


def _as_real(t: Tensor) -> Tensor:
    return torch.view_as_real(t.resolve_conj()) if t.is_complex() else t


def _map(fn: Callable[[Tensor], Tensor], value: Any) -> Any:
    return tuple(fn(v) for v in value) if isinstance(value, tuple) else fn(value)
