"""A nonnegative number for every measured bin: weights, backgrounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from wellposed.errors import InputError, ShapeError
from wellposed.pattern import Pattern


class PerBin(nn.Module):
    """One number for all bins, a tensor of one per bin, or a pattern evaluated on the measurement's shape.

    A tensor has a shape that fits one sample of the measurement, without batch (`per_sample=False`), or
    with it. A pattern gets the last two sizes of the measurement. A `nn.Parameter` is learned.
    """

    def __init__(self, value: float | Tensor | Pattern, name: str, *, per_sample: bool = False) -> None:
        super().__init__()
        self.name, self.per_sample = name, per_sample
        self._made: tuple[tuple, Tensor] | None = None
        if isinstance(value, nn.Parameter):
            self.value = value
        elif isinstance(value, Tensor):
            self.register_buffer("value", _checked(value, name))
        elif isinstance(value, Pattern):
            self.value = value
        elif 0 <= value < math.inf:
            self.value = float(value)
        else:
            raise InputError(f"{name} must be finite and ≥ 0; {value} was given")

    def forward(self, like: Tensor) -> float | Tensor:
        """The numbers, to be broadcast against `like`, in its precision."""
        value = self._pattern(like) if isinstance(self.value, Pattern) else self.value
        if not isinstance(value, Tensor):
            return value
        value = value.to(like.dtype.to_real())
        return value if self.per_sample or value.ndim == 0 else value.unsqueeze(0)

    def least(self, like: Tensor) -> float | Tensor:
        """The smallest number of each sample: one float, or `(B,)`."""
        value = self(like)
        return value if not isinstance(value, Tensor) else _reduced(value, torch.amin, self.per_sample)

    def largest(self, like: Tensor) -> float | Tensor:
        value = self(like)
        return value if not isinstance(value, Tensor) else _reduced(value, torch.amax, self.per_sample)

    def take(self, index: Tensor) -> PerBin:
        """The numbers of the samples `index`."""
        if not self.per_sample:
            return self
        assert isinstance(self.value, Tensor)
        return PerBin(self.value[index], self.name, per_sample=True)

    def check(self, y: Tensor) -> None:
        """Raise `ShapeError` unless there is a number for every bin of `y`."""
        value = self(y)
        if isinstance(value, Tensor) and not _broadcasts(value.shape, y.shape):
            own = tuple(value.shape) if self.per_sample else tuple(value.shape[1:])
            raise ShapeError(
                f"the {self.name} has shape {own} and the measurement {tuple(y.shape[1:])} per sample; "
                f"they must agree, or the {self.name} have size 1 where they do not"
            )

    def extra_repr(self) -> str:
        if isinstance(self.value, Tensor):
            return f"{self.name}: tensor {tuple(self.value.shape)}"
        return f"{self.name}={self.value:g}" if isinstance(self.value, float) else f"{self.name}={self.value}"

    def _pattern(self, like: Tensor) -> Tensor:
        """The pattern's tensor; it depends on the shape alone and is made once."""
        assert isinstance(self.value, Pattern)
        shape = tuple(like.shape[-2:]) if like.ndim > 2 else tuple(like.shape[1:])
        if self._made is None or self._made[0] != (shape, like.device):
            self._made = (shape, like.device), _checked(self.value(shape), self.name).to(like.device)
        return self._made[1]


def _checked(value: Tensor, name: str) -> Tensor:
    if value.is_complex() or not bool((torch.isfinite(value) & (value >= 0)).all()):
        raise InputError(f"the {name} must be real, finite and ≥ 0 in every bin")
    return value.detach()


def _reduced(value: Tensor, reduce: object, per_sample: bool) -> float | Tensor:
    extreme = reduce(value.detach().flatten(1), 1) if value.ndim > 0 else value.detach()  # type: ignore[operator]
    return extreme if per_sample else float(extreme)


def _broadcasts(shape: torch.Size, onto: torch.Size) -> bool:
    try:
        return torch.broadcast_shapes(shape, onto) == onto
    except RuntimeError:
        return False
