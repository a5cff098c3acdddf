"""The discrete gradients towards all sides, which together turn with the image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

import torch
from torch import Tensor

from wellposed import ShapeError
from wellposed.regularizer import Analysis
from wellposed.space import per_sample

from .differences import Differences, check_image, filter_spectrum

_FORWARD = Differences()


class AveragedDifferences(Analysis):
    """`K x = 2⁻ᵈ (∇ F_s x)_s`, `F_s` the `2ᵈ` reflections of `d` axes: differences to either side in all pairings.

    `(B, C, *spatial) → (B, d, C, 2ᵈ, *spatial)`, real or complex; `adjoint` is exact. A quarter turn or a reflection of
    `x` permutes the entries of `K x` among each other, so that sums of functions of the lengths over axis 1 do not
    change. `K*K = 2⁻ᵈ ∇*∇`, since the Laplacian with Neumann boundary commutes with reflections.
    """

    def forward(self, x: Tensor) -> Tensor:
        check_image(x, "the discrete gradient")
        sides = torch.stack([x.flip(axes) for axes in reflections(x.ndim - 2)], 2)
        field = _FORWARD(sides.flatten(1, 2)).unflatten(2, sides.shape[1:3])
        return field * 0.5 ** (x.ndim - 2)

    def adjoint(self, p: Tensor) -> Tensor:
        d = p.shape[1] if p.ndim > 4 else 0
        if d < 1 or p.ndim != d + 4 or p.shape[3] != 2**d:
            raise ShapeError(
                f"the adjoint of the averaged gradient takes (batch, d, channels, 2^d, d sizes); got {tuple(p.shape)}"
            )
        sides = _FORWARD.adjoint(p.flatten(2, 3)).unflatten(1, p.shape[2:4])
        back = [side.flip(axes) for side, axes in zip(sides.unbind(2), reflections(d), strict=True)]
        return torch.stack(back).sum(0) * 0.5**d

    def norm(self, x: Tensor) -> float:
        """`‖K‖ = 2^(−d/2) ‖∇‖`, exact."""
        return _FORWARD.norm(x) * math.sqrt(0.5 ** (x.ndim - 2))

    def solve_normal(self, rhs: Tensor, shift: float | Tensor) -> Tensor:
        """`(K*K + shift·I)⁻¹ rhs` with `shift > 0` a number or `(B,)`, by cosine transforms."""
        part = 0.5 ** (rhs.ndim - 2)
        return filter_spectrum(rhs, lambda squares: 1 / (part * squares + per_sample(shift, rhs)))


def reflections(d: int) -> Iterator[tuple[int, ...]]:
    """The sets of spatial axes, counted from the end, that each of the `2ᵈ` reflections turns round."""
    axes = range(-d, 0)
    return (chosen for count in range(d + 1) for chosen in combinations(axes, count))
