"""Closed forms of a dense matrix from its singular values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .buffers import shifted_inverse


@dataclass(frozen=True)
class SingularValues:
    """`M = U diag(σ) Vᵀ` of a real matrix, restricted to its numerical rank.

    `u` is `None` where it is the identity, as for matrices with orthonormal rows.
    """

    u: Tensor | None
    sigma: Tensor
    v: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> SingularValues:
        """Decompose `(m, n)`; values below `max(m, n) · eps · σ_1` count as zero."""
        if has_orthonormal_rows(matrix):
            return cls(None, matrix.new_ones(len(matrix)), matrix.T)
        u, sigma, vh = torch.linalg.svd(matrix, full_matrices=False)
        rank = int((sigma > max(matrix.shape) * torch.finfo(matrix.dtype).eps * sigma[0]).sum())
        return cls(u[:, :rank], sigma[:rank], vh[:rank].T)

    @property
    def rows_are_orthonormal(self) -> bool:
        """`M Mᵀ = I`, which was seen on the whole matrix."""
        return self.u is None

    @property
    def norm(self) -> float:
        return float(self.sigma[0]) if len(self.sigma) else 0.0

    def pinv(self, y: Tensor) -> Tensor:
        """`M⁺ y` along the last axis: `(…, m)` to `(…, n)`."""
        coefficients = y if self.u is None else y @ self.u
        return (coefficients / self.sigma) @ self.v.T

    def solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        """`(MᵀM + s)⁻¹ rhs` along the last axis, the pseudo-inverse where `s = 0`; `s` broadcasts."""
        along = rhs @ self.v
        solved = (along * shifted_inverse(self.sigma.square(), shift)) @ self.v.T
        if len(self.v) == len(self.sigma):
            return solved
        across = rhs - along @ self.v.T
        return solved + across * shifted_inverse(torch.zeros_like(shift), shift)


def has_orthonormal_rows(matrix: Tensor) -> bool:
    """Whether `M Mᵀ = I` to rounding."""
    if matrix.shape[0] > matrix.shape[1]:
        return False
    tolerance = 10 * matrix.shape[1] ** 0.5 * torch.finfo(matrix.dtype).eps
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    return bool(((matrix @ matrix.T - identity).abs() <= tolerance).all())


def gaussian_rows(rows: int, columns: int, generator: torch.Generator, *, orthonormal: bool) -> Tensor:
    """A random float64 `(rows, columns)` matrix: entries `N(0, 1/rows)`, or their row space's random
    orthonormal basis, uniform on the Stiefel manifold (Mezzadri 2007)."""
    matrix = torch.randn((rows, columns), generator=generator, dtype=torch.float64)
    if not orthonormal:
        return matrix / rows**0.5
    q, r = torch.linalg.qr(matrix.T)
    return (q * torch.sgn(torch.diagonal(r))).T.contiguous()
