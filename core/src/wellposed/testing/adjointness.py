"""The dot-product test of a map and its adjoint, with a diagnosis where it fails."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..space import Space
from .measure import dot, normal, size_of

Map = Callable[[Tensor], Tensor]


def assert_adjoint(forward: Map, adjoint: Map, x: Tensor, y: Tensor, tolerance: float, who: str) -> None:
    """Raise `AssertionError` unless `<Ax, y> = <x, A*y>` relative to the norms; says by what factor it is off."""
    ax, ay = forward(x), adjoint(y)
    left, right = dot(ax, y), dot(x, ay)
    scale = max(size_of(ax) * size_of(y), size_of(x) * size_of(ay))
    error = abs(left - right) / (scale or 1.0)
    if not error <= tolerance:
        raise AssertionError(
            f"the adjoint of {who} must satisfy <Ax, y> = <x, A*y>: relative difference {error:.3g}, tolerance "
            f"{tolerance:.0e}. {_diagnosis(forward, adjoint, x, y)}"
        )


def _diagnosis(forward: Map, adjoint: Map, x: Tensor, y: Tensor) -> str:
    """Fit the factor of a scaled adjoint over several random pairs (the idea of ODL's operator test)."""
    left, right = [], []
    for seed in range(8):
        u, v = like(x, 10 + seed), like(y, 30 + seed)
        left.append(dot(forward(u), v))
        right.append(dot(u, adjoint(v)))
    a, b = torch.tensor(left, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    factor = float((a * b).sum() / b.square().sum().clamp_min(1e-300))
    spread = float((a - factor * b).norm() / a.norm().clamp_min(1e-300))
    if spread < 1e-4:
        return f"Multiplied by {factor:.6g} it would be exact (should be 1.0)"
    return f"It is no multiple of the true adjoint (the best factor, {factor:.4g}, leaves {100 * spread:.2g} %)"


def like(tensor: Tensor, seed: int) -> Tensor:
    """Standard normal numbers in shape, field and precision of a batch."""
    space = Space(tuple(tensor.shape[1:]), tensor.dtype)
    return normal(space, len(tensor), seed, tensor.dtype.to_real()).to(tensor.device)
