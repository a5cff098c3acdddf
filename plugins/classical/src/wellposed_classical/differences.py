"""The discrete gradient: forward differences with Neumann boundary, its adjoint and its inverse problem."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from wellposed import InputError, ShapeError
from wellposed.linear_algebra import linear_map
from wellposed.regularizer import Analysis
from wellposed.space import per_sample

from .cosine_transform import cosine_transform, inverse_cosine_transform


class Differences(Analysis):
    """`(∇x)_k[i] = x[i + e_k] − x[i]`, and 0 where `i + e_k` lies outside.

    `forward`: `(B, C, *spatial) → (B, d, C, *spatial)` for any number `d` of spatial axes, real or
    complex; `adjoint` is exact. Raises `ShapeError` for tensors without a channel and a spatial axis.
    """

    def forward(self, x: Tensor) -> Tensor:
        check_image(x, "the discrete gradient")
        return linear_map(x, _gradient, _negative_divergence)

    def adjoint(self, p: Tensor) -> Tensor:
        if p.ndim < 4 or p.shape[1] != p.ndim - 3:
            raise ShapeError(
                f"the adjoint of the discrete gradient takes (batch, d, channels, d sizes); got {tuple(p.shape)}"
            )
        return linear_map(p, _negative_divergence, _gradient)

    def norm(self, x: Tensor) -> float:
        """`‖∇‖ = (Σ_k 4cos²(π/2n_k))^½`, exact; below √8 for every 2-D image."""
        check_image(x, "the discrete gradient")
        return math.sqrt(sum(4 * math.cos(math.pi / (2 * n)) ** 2 for n in x.shape[2:]))

    def solve_normal(self, rhs: Tensor, shift: float | Tensor) -> Tensor:
        """`(∇*∇ + shift·I)⁻¹ rhs` with `shift > 0` a number or `(B,)`, by cosine transforms."""
        if not bool((torch.as_tensor(shift) > 0).all()):
            raise InputError(f"∇*∇ is singular (constants); solve_normal needs a shift > 0, got {shift}")
        return filter_spectrum(rhs, lambda squares: 1 / (squares + per_sample(shift, rhs)))


def filter_spectrum(x: Tensor, response: Callable[[Tensor], Tensor]) -> Tensor:
    """`f(∇*∇) x` for a function `f = response` of the eigenvalues `Σ_k 2 − 2cos(πj_k/n_k)` of `∇*∇`.

    The cosine transform diagonalises the Neumann Laplacian (Strang 1999, The Discrete Cosine Transform).
    """
    check_image(x, "the discrete gradient")
    axes = tuple(range(2, x.ndim))
    if x.is_complex():
        pair = torch.view_as_real(x)
        spectrum = cosine_transform(pair, axes) * response(_eigenvalues(x)).unsqueeze(-1)
        return torch.view_as_complex(inverse_cosine_transform(spectrum, axes).contiguous())
    return inverse_cosine_transform(cosine_transform(x, axes) * response(_eigenvalues(x)), axes)


def check_image(x: Tensor, who: str) -> None:
    """Raise `ShapeError` unless `x` is `(B, C, *spatial)` with at least one spatial axis."""
    if x.ndim < 3:
        raise ShapeError(
            f"{who} takes images of shape (batch, channels, *spatial) with at least one spatial axis; "
            f"got {tuple(x.shape)}"
        )


def _gradient(x: Tensor) -> Tensor:
    d = x.ndim - 2
    p = x.new_empty((len(x), d, *x.shape[1:]))
    for k in range(d):
        part, axis, n = p[:, k], k + 2, x.shape[k + 2]
        torch.sub(x.narrow(axis, 1, n - 1), x.narrow(axis, 0, n - 1), out=part.narrow(axis, 0, n - 1))
        part.narrow(axis, n - 1, 1).zero_()
    return p


def _negative_divergence(p: Tensor) -> Tensor:
    x = p.new_zeros((len(p), *p.shape[2:]))
    for k in range(p.shape[1]):
        axis, n = k + 2, p.shape[k + 3]
        edges = p[:, k].narrow(axis, 0, n - 1)
        x.narrow(axis, 0, n - 1).sub_(edges)
        x.narrow(axis, 1, n - 1).add_(edges)
    return x


def _eigenvalues(x: Tensor) -> Tensor:
    """Eigenvalues of `∇*∇`, shape `(1, 1, *spatial)`."""
    total = torch.zeros((), dtype=x.dtype.to_real(), device=x.device)
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        j = torch.arange(n, dtype=total.dtype, device=x.device)
        # 4 sin² instead of 2 − 2 cos: no cancellation at low frequencies.
        each = 4 * torch.sin(j * (math.pi / (2 * n))).square()
        total = total + each.reshape(-1, *([1] * (x.ndim - 1 - axis)))
    return total.reshape((1,) * (x.ndim - total.ndim) + total.shape)
