"""The symmetrised derivative of gradient fields, which second-order total variation measures."""

from __future__ import annotations

import math

from torch import Tensor

from wellposed import ShapeError
from wellposed.linear_algebra import linear_map
from wellposed.regularizer import Analysis


class SymmetricDifferences(Analysis):
    """`(E w)_kl = (∂_l w_k + ∂_k w_l)/2`: `(B, d, C, *spatial) → (B, d(d+1)/2, C, *spatial)`.

    `w` lives where the discrete gradient does: component `k` between neighbours along axis `k`, so its
    last slice along `k` counts as 0 and is not differenced. Only differences of entries that exist are
    taken, hence `E∇x = 0` for every affine image `x`. Off-diagonal components come once, times √2, so that
    the Euclidean length over them is the Frobenius norm of the matrix.
    Source: Bredies, Kunisch and Pock 2010, Total Generalized Variation, section 3.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 4 or x.shape[1] != x.ndim - 3:
            raise ShapeError(f"the symmetrised derivative takes (batch, d, channels, d sizes); got {tuple(x.shape)}")
        return linear_map(x, _symmetrised, _adjoint)

    def adjoint(self, p: Tensor) -> Tensor:
        d = p.ndim - 3
        if d < 1 or p.shape[1] != d * (d + 1) // 2:
            raise ShapeError(
                f"the adjoint of the symmetrised derivative takes (batch, d(d + 1)/2, channels, d sizes); "
                f"got {tuple(p.shape)}"
            )
        return linear_map(p, _adjoint, _symmetrised)

    def norm(self, x: Tensor) -> float:
        """`‖E‖ ≤ ‖∇‖ ≤ (4d)^½`."""
        return 2 * math.sqrt(x.shape[1])


def _symmetrised(w: Tensor) -> Tensor:
    result = w.new_zeros((len(w), len(_components(w)), *w.shape[2:]))
    for number, (k, m) in enumerate(_components(w)):
        for component, along in {(k, m), (m, k)}:
            here, below, above, factor = _pieces(w[:, component], result[:, number], component, along)
            here.add_(above, alpha=factor).sub_(below, alpha=factor)
    return result


def _adjoint(q: Tensor) -> Tensor:
    result = q.new_zeros((len(q), q.ndim - 3, *q.shape[2:]))
    for number, (k, m) in enumerate(_components(result)):
        for component, along in {(k, m), (m, k)}:
            here, below, above, factor = _pieces(result[:, component], q[:, number], component, along)
            above.add_(here, alpha=factor)
            below.sub_(here, alpha=factor)
    return result


def _components(w: Tensor) -> list[tuple[int, int]]:
    d = w.shape[1]
    return [(k, m) for k in range(d) for m in range(k, d)]


def _pieces(w: Tensor, q: Tensor, component: int, along: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Of `q += factor·(∂_along w)`: the entries of `q`, the two of `w`, and the factor."""
    own, axis = component + 2, along + 2
    w, q = w.narrow(own, 0, max(w.shape[own] - 1, 0)), q.narrow(own, 0, max(q.shape[own] - 1, 0))
    count = max(w.shape[axis] - 1, 0)
    here = q.narrow(axis, 0, count)
    factor = 1.0 if component == along else math.sqrt(0.5)
    return here, w.narrow(axis, 0, count), w.narrow(axis, min(1, w.shape[axis]), count), factor
