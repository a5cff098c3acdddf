"""What the operators of this plugin keep: exact buffers and per-sample data."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from wellposed.errors import InputError
from wellposed.operator import LinearOperator
from wellposed.space import Space


class BufferedOperator(LinearOperator):
    """A linear operator whose constant tensors lose no digits and may differ from sample to sample.

    `register_exact` keeps a buffer in the default precision; after `.double()` it holds the digits that
    it was given, so that closed forms hold to float64 rounding. Complex buffers are stored as pairs of
    reals, because `nn.Module.double` leaves complex tensors alone.

    Buffers named in `sample_buffers` hold one entry per sample, `(B, …)`: the operator then takes batches
    of exactly that many samples, and `take` selects among them.
    """

    def __init__(self, domain: Space, range: Space) -> None:
        super().__init__(domain, range)
        self.sample_buffers: tuple[str, ...] = ()
        self._given: dict[str, Tensor] = {}
        self._complex: set[str] = set()

    def register_exact(self, name: str, value: Tensor, *, per_sample: bool = False) -> None:
        """Keep a real or complex constant; read it with `self.exact(name)`."""
        if value.is_complex():
            self._complex.add(name)
            value = torch.view_as_real(value.resolve_conj())
        if value.is_floating_point():
            own = torch.get_default_dtype()
            if value.dtype == torch.float64 and own != torch.float64:
                self._given[name] = value.cpu()
            value = value.to(own)
        self.register_buffer(name, value.contiguous(), persistent=False)
        if per_sample:
            self.sample_buffers = (*self.sample_buffers, name)

    def exact(self, name: str) -> Tensor:
        """The constant `name` in the operator's present precision."""
        buffer = self.get_buffer(name)
        return torch.view_as_complex(buffer) if name in self._complex else buffer

    @property
    def samples(self) -> int | None:
        """How many samples the operator holds data of; `None` where it is the same for all."""
        return len(self.get_buffer(self.sample_buffers[0])) if self.sample_buffers else None

    def take(self, index: Tensor) -> LinearOperator:
        if not self.sample_buffers:
            return self
        part = copy.copy(self)
        part._buffers, part._given = dict(self._buffers), dict(self._given)
        part._norm_value = None
        for name in self.sample_buffers:
            buffer = self.get_buffer(name)
            part._buffers[name] = buffer[index.to(buffer.device)]
            if name in self._given:
                part._given[name] = self._given[name][index.cpu()]
        return part

    def check_domain(self, x: Tensor) -> None:
        super().check_domain(x)
        self._check_batch(x)

    def check_range(self, y: Tensor) -> None:
        super().check_range(y)
        self._check_batch(y)

    def _check_batch(self, tensor: Tensor) -> None:
        if self.samples not in (None, len(tensor)):
            raise InputError(
                f"{type(self).__name__} holds the data of {self.samples} samples and got a batch of "
                f"{len(tensor)}; select samples with operator.take(index)"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        # .to(), .double(), .cuda() all come through here: put back the digits that single precision lost.
        result = super()._apply(fn, recurse)
        self._norm_value = None
        for name, value in self._given.items():
            buffer = self.get_buffer(name)
            if buffer.dtype == torch.float64:
                self._buffers[name] = value.to(buffer.device)
        return result


def shifted_inverse(diagonal: Tensor, shift: Tensor, floor: float | Tensor = 0.0) -> Tensor:
    """`1 / (d + s)`, and 0 where `d + s ≤ floor`: the pseudo-inverse of a nonnegative diagonal."""
    total = diagonal + shift
    return torch.where(total > floor, total, torch.inf).reciprocal()


def trailing(shift: Tensor, ndim: int) -> Tensor:
    """A number or `(B,)` tensor shaped `(B, 1, …)` with `ndim` dimensions, to go before `(B, …)` tensors."""
    return shift.reshape(-1, *([1] * (ndim - 1))) if shift.ndim == 1 else shift
