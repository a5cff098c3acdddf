"""Measuring: seeded random tensors, errors relative to the norms involved, and the sentences of failed checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..space import Space, inner

#: Rounding of a chain of float64 operations, relative to the norms involved.
EXACT = 1e-12
#: Step lengths of Taylor tests; the remainder of a right first derivative falls with their square.
TAYLOR_STEPS = (1e-2, 1e-3, 1e-4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(space: Space, batch: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal samples of a space in precision `dtype`."""
    return space.randn(batch, generator(seed), dtype)


def bump(space: Space, batch: int = 3) -> Tensor:
    """Smooth nonnegative images that vanish towards the border, of heights 1, 2, …; float64."""
    field = torch.ones(space.shape, dtype=torch.float64)
    for axis, size in enumerate(space.shape):
        window = torch.sin(torch.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size)
        field = field * window.reshape([-1 if a == axis else 1 for a in range(len(space.shape))])
    heights = torch.arange(1, batch + 1, dtype=torch.float64).reshape(-1, *([1] * len(space.shape)))
    images = heights * field
    return images * (1 + 0.5j) if space.is_complex else images


def lopsided(space: Space, batch: int = 3) -> Tensor:
    """Bumps of heights 1, 2, … that no flip, turn or transposition of the image leaves as they are."""
    image = bump(space, 1)
    for axis, size in enumerate(space.shape):
        ramp = torch.linspace(0.2, 1, size, dtype=torch.float64) ** (1.0, 6.0, 2.0, 4.0)[axis % 4]
        image = image * ramp.reshape([-1 if a == axis else 1 for a in range(len(space.shape))])
    heights = torch.arange(1, batch + 1, dtype=torch.float64).reshape(-1, *([1] * len(space.shape)))
    return heights * image / image.abs().max()


def single(tensor: Tensor) -> Tensor:
    """The same numbers in single precision."""
    return tensor.to(torch.complex64 if tensor.is_complex() else torch.float32)


def size_of(tensor: Tensor) -> float:
    """Euclidean norm of the whole tensor."""
    return float(torch.linalg.vector_norm(tensor.detach()))


def relative(measured: Tensor, expected: Tensor) -> float:
    """`‖measured − expected‖ / ‖expected‖`, and the absolute error where `expected` is zero."""
    return size_of(measured - expected) / (size_of(expected) or 1.0)


def dot(u: Tensor, v: Tensor) -> float:
    """Real inner product of whole tensors."""
    return float(inner(u.detach().reshape(1, -1), v.detach().reshape(1, -1)))


def at_most(measured: float, limit: float, sentence: str) -> None:
    """Raise `AssertionError` unless `measured ≤ limit`; not-a-number fails."""
    if not measured <= limit:
        raise AssertionError(f"{sentence}: measured {measured:.3g}, tolerance {limit:.3g}")


def that(condition: bool, sentence: str) -> None:
    """Raise `AssertionError(sentence)` unless `condition`; unlike `assert`, also under `python -O`."""
    if not condition:
        raise AssertionError(sentence)


def same_tensor(first: Tensor, second: Tensor) -> bool:
    """Bitwise equality; not-a-number equals itself."""
    return first.shape == second.shape and first.dtype == second.dtype and torch.equal(_bits(first), _bits(second))


@contextmanager
def unchanged(who: object, **tensors: Tensor) -> Iterator[None]:
    """Raise `AssertionError` where the block changes one of the named tensors."""
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    yield
    for name, tensor in tensors.items():
        that(same_tensor(tensor.detach(), before[name]), f"{who} changed its argument {name} in place")


def twice_the_same(who: object, call: Callable[[], Tensor], between: Callable[[], Any] = lambda: None) -> None:
    """Two equal calls give bitwise equal results, whatever was called `between`."""
    first = call().detach().clone()
    between()
    second = call().detach()
    that(
        same_tensor(first, second),
        f"{who} gives another result for the same input (relative difference {relative(second, first):.3g}): "
        f"it keeps hidden state or draws unseeded random numbers",
    )


def each_sample_alone(who: object, call: Callable[[Tensor], Tensor], batch: Tensor, tolerance: float = EXACT) -> None:
    """The result of a sample does not depend on the others in its batch."""
    together = call(batch)
    for i in range(len(batch)):
        alone = call(batch[i : i + 1])
        at_most(
            relative(together[i : i + 1], alone),
            tolerance,
            f"{who} must treat the samples of a batch independently; sample {i} differs from itself alone",
        )


def taylor_slope(remainder: Callable[[float], float], scale: float) -> float:
    """Order of a Taylor remainder in its step; infinite where the remainder is nothing but rounding."""
    values = [remainder(t) for t in TAYLOR_STEPS]
    if not all(math.isfinite(value) for value in values):
        return float("nan")
    rounding = 1e-14 * scale
    slopes = [math.log10(coarse / fine) for coarse, fine in pairwise(values) if fine > 100 * rounding]
    return min(slopes, default=float("inf"))


def central_difference_error(
    along: Callable[[float], float], slope: float, scale: float, steps: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5)
) -> float:
    """Distance of `slope` from the fourth-order central difference of `along` at 0, relative to `scale`.

    The best of several steps: long ones suffer from curvature, short ones from rounding.
    """
    errors = []
    for t in steps:
        near, far = along(t) - along(-t), along(2 * t) - along(-2 * t)
        errors.append(abs((8 * near - far) / (12 * t) - slope))
    finite = [error for error in errors if math.isfinite(error)]
    return min(finite, default=float("inf")) / (scale or 1.0)


def _bits(tensor: Tensor) -> Tensor:
    return torch.nan_to_num(torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor.double())
