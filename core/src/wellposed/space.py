"""The spaces that operators map between: the shape and number field of one sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ShapeError


@dataclass(frozen=True)
class Space:
    """The tensors `(B, *shape)`, real or complex; `shape` is one sample's, without the batch.

    The inner product is the real one, `<u, v> = Re Σ conj(u) v`, so that complex spaces are real
    Hilbert spaces of twice the dimension and every gradient is the steepest ascent direction.

    `dtype` tells the number field and the precision that new tensors of the space get; a tensor of
    another precision of the same field lies in the space as well.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if any(n < 1 for n in self.shape):
            raise ShapeError(f"a space needs positive sizes; {self.shape} was given")

    @property
    def size(self) -> int:
        """Number of entries of one sample."""
        return math.prod(self.shape)

    @property
    def is_complex(self) -> bool:
        return self.dtype.is_complex

    def check(self, tensor: Tensor, owner: object, what: str) -> None:
        """Raise `ShapeError` unless `tensor` is a batch of this space's samples."""
        if not isinstance(tensor, Tensor):
            raise ShapeError(
                f"{_name(owner)} takes a torch tensor as {what}, not a {type(tensor).__name__}; "
                f"wrap it with torch.as_tensor and add a batch dimension"
            )
        if tuple(tensor.shape[1:]) != self.shape or tensor.ndim != len(self.shape) + 1:
            raise ShapeError(
                f"{_name(owner)} takes {what} of shape (batch, {_sizes(self.shape)}), "
                f"got {tuple(tensor.shape)}{self._hint(tensor)}"
            )
        if tensor.is_complex() and not self.is_complex:
            raise ShapeError(
                f"{_name(owner)} takes real {what}, got {tensor.dtype}; take its real part or its absolute value first"
            )
        if not (tensor.is_complex() or tensor.is_floating_point()):
            raise ShapeError(f"{_name(owner)} takes floating-point {what}, got {tensor.dtype}; call .float() first")

    def _hint(self, tensor: Tensor) -> str:
        if tuple(tensor.shape) == self.shape:
            return "; add the batch dimension with tensor[None]"
        return ""

    def zeros(self, batch: int, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        return torch.zeros((batch, *self.shape), dtype=self._field(dtype), device=device)

    def randn(
        self,
        batch: int,
        generator: torch.Generator,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Standard normal samples drawn on the generator's device."""
        return torch.randn((batch, *self.shape), dtype=self._field(dtype), generator=generator, device=generator.device)

    def _field(self, dtype: torch.dtype | None) -> torch.dtype:
        if dtype is None:
            return self.dtype
        return dtype.to_complex() if self.is_complex and not dtype.is_complex else dtype


def inner(u: Tensor, v: Tensor) -> Tensor:
    """Real inner product of each sample, `Re Σ conj(u) v`, shape `(B,)`."""
    u, v = u.flatten(1), v.flatten(1)
    if u.is_complex() or v.is_complex():
        return (u.conj() * v).real.sum(1)
    return torch.einsum("bi,bi->b", u, v)


def norm(u: Tensor) -> Tensor:
    """Euclidean norm of each sample, shape `(B,)`."""
    return torch.linalg.vector_norm(u.flatten(1), dim=1)


def per_sample(value: float | Tensor, like: Tensor) -> float | Tensor:
    """Shape a number or a `(B,)` tensor so that it multiplies the batched tensor `like`."""
    if isinstance(value, Tensor) and value.ndim == 1:
        return value.reshape(-1, *([1] * (like.ndim - 1)))
    return value


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
