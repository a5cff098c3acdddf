"""Matrix-free linear algebra: spectral norm, conjugate gradients, differentiable normal equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .errors import InputError
from .precision import exact
from .space import inner, norm, per_sample

if TYPE_CHECKING:
    from .operator import LinearOperator

Map = Callable[[Tensor], Tensor]

_LANCZOS_LIMIT = 200
_LANCZOS_TOLERANCE = 1e-3


def spectral_norm(operator: LinearOperator) -> float:
    """`‖A‖` from above, tight to 0.1 %: the largest Ritz value of `A*A` plus its residual norm.

    Lanczos' three-term recurrence with a fixed random start; the residual of the Ritz pair is
    `β_k |s_k|` (Parlett, The Symmetric Eigenvalue Problem, section 13.2), so some eigenvalue, for
    almost every start the largest, lies within it; of many that lie that close together it may be another.
    """
    v = _random_start(operator)
    previous, beta, largest, residual = torch.zeros_like(v), 0.0, 0.0, 0.0
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for _ in range(min(_LANCZOS_LIMIT, operator.domain.size * (2 if operator.domain.is_complex else 1))):
        with torch.no_grad():
            w = operator._gram(v) - beta * previous
            alpha = float(inner(w, v))
            w = w - alpha * v
            beta = float(norm(w))
        diagonal.append(alpha)
        largest, residual = _top_ritz(diagonal, off_diagonal, beta)
        if residual <= _LANCZOS_TOLERANCE * largest or beta == 0.0:
            break
        off_diagonal.append(beta)
        previous, v = v, w / beta
    return max(largest + residual, 0.0) ** 0.5


def conjugate_gradient(
    apply: Callable[[Tensor], Tensor],
    rhs: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float | None = None,
    limit: int = 500,
) -> Tensor:
    """Solve `M x = rhs` for symmetric positive (semi)definite `M`, each sample to its own tolerance.

    Stops a sample at `‖M x − rhs‖ ≤ tolerance · ‖rhs‖` (default: 20 roundings, 2.4e-6 in float32)
    or where rounding stops progress. Source: Hestenes and Stiefel 1952.
    """
    if tolerance is None:
        tolerance = 20 * torch.finfo(rhs.dtype).eps
    x = torch.zeros_like(rhs) if start is None else start.clone()
    r = rhs - apply(x) if start is not None else rhs.clone()
    p, rho = r.clone(), inner(r, r)
    target = (tolerance * norm(rhs)) ** 2
    for _ in range(limit):
        active = rho > target
        if not bool(active.any()):
            break
        q = apply(p)
        curvature = inner(p, q)
        alpha = _ratio(rho, curvature, active & (curvature > 0))
        x = x + per_sample(alpha, x) * p
        r = r - per_sample(alpha, r) * q
        rho_next = inner(r, r)
        beta = _ratio(rho_next, rho, active)
        p = r + per_sample(beta, p) * p
        rho = rho_next
    return x


def least_squares(operator: LinearOperator, y: Tensor, limit: int = 200) -> Tensor:
    """Minimum-norm least-squares solution by conjugate gradients on `A*A x = A*y` from zero."""
    return conjugate_gradient(operator._gram, operator._adjoint(y), limit=limit)


def shifted_gram(operator: LinearOperator, shift: Tensor) -> Callable[[Tensor], Tensor]:
    """`x ↦ A*A x + shift·x`."""
    return lambda x: operator._gram(x) + per_sample(shift, x) * x


def linear_map(x: Tensor, apply: Map, transpose: Map) -> Tensor:
    """`apply(x)`, differentiable to any order in both modes; nothing is stored for the backward pass.

    Both maps may work in place inside and must be each other's adjoint in the real inner product.
    """
    return _LinearMap.apply(x, apply, transpose)  # type: ignore[no-any-return]


def squared_isometry(operator: LinearOperator, x: Tensor) -> Tensor:
    """`c` with `A*A = c·I`, `(B,)`, from images like `x`; 0 where `A*A` is no multiple of the identity.

    One random image decides: it is an eigenvector of a matrix that is no multiple of the identity with
    probability 0. The factor is lowered by what rounding could hide in a single direction.
    """
    tolerance = torch.finfo(x.dtype).eps ** 0.5 / 30
    with torch.no_grad():
        u = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype).to(x.device)
        image = operator.gram(u)
        factor = inner(image, u) / inner(u, u)
        distance = norm(image - per_sample(factor, u) * u)
        certain = max(1 - tolerance * (u.numel() / len(u)) ** 0.5, 0.0)
        return torch.where(distance <= tolerance * norm(image), factor * certain, 0.0)


class NormalSolve(torch.autograd.Function):
    """`x = (A*A + s I)⁻¹ b`; `db* = (A*A + s I)⁻¹ v`, `ds* = −<db*, x>`: the matrix is symmetric."""

    @staticmethod
    def forward(ctx: Any, rhs: Tensor, shift: Tensor, operator: LinearOperator) -> Tensor:
        if bool((shift < 0).any()):
            raise InputError(f"solve_normal needs shift ≥ 0; got {float(shift.min()):g}")
        x = operator._solve_normal(rhs, shift)
        ctx.operator = operator
        ctx.of_real = not rhs.is_complex()
        ctx.save_for_backward(x, shift)
        return x

    @staticmethod
    @exact
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, shift = ctx.saved_tensors
        grad_rhs = NormalSolve.apply(grads[0], shift, ctx.operator)
        grad_shift = None
        if ctx.needs_input_grad[1]:
            per = -inner(grad_rhs, x)
            grad_shift = per if shift.shape == per.shape else per.sum().reshape(shift.shape)
        return grad_rhs.real if ctx.of_real and grad_rhs.is_complex() else grad_rhs, grad_shift, None


class _LinearMap(torch.autograd.Function):
    """The derivative of a linear map is the map itself, its gradient the adjoint."""

    @staticmethod
    def forward(x: Tensor, apply: Map, transpose: Map) -> Tensor:
        return apply(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, ctx.apply_map, ctx.transpose = inputs
        ctx.of_real = not x.is_complex()

    @staticmethod
    @exact
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        grad = linear_map(grads[0], ctx.transpose, ctx.apply_map)
        # A real tensor in a complex space has a real gradient.
        return grad.real if ctx.of_real and grad.is_complex() else grad, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return linear_map(tangents[0], ctx.apply_map, ctx.transpose)


def _top_ritz(diagonal: list[float], off_diagonal: list[float], beta: float) -> tuple[float, float]:
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    for i, value in enumerate(off_diagonal):
        matrix[i, i + 1] = matrix[i + 1, i] = value
    values, vectors = torch.linalg.eigh(matrix)
    return float(values[-1]), beta * abs(float(vectors[-1, -1]))


def _random_start(operator: LinearOperator) -> Tensor:
    """A unit vector of the domain, always the same, in the operator's own precision and on its device."""
    held = [t for t in (*operator.buffers(), *operator.parameters()) if t.is_floating_point() or t.is_complex()]
    precise = any(t.dtype.to_real() == torch.float64 for t in held)
    generator = torch.Generator().manual_seed(0)
    v = operator.domain.randn(1, generator, torch.float64 if precise else torch.float32)
    device = held[0].device if held else next(iter(operator.buffers()), v).device
    return (v / norm(v)).to(device)


def _ratio(numerator: Tensor, denominator: Tensor, where: Tensor) -> Tensor:
    """The quotient `where` it is asked for and 0 elsewhere, also in its derivative."""
    return torch.where(where, numerator / torch.where(where, denominator, 1.0), 0.0)


def inverse_norm(operator: LinearOperator) -> float:
    """`1/‖A‖`, which scales an operator to norm 1; 1 for the zero operator, which no factor changes."""
    norm = operator.norm()
    return 1.0 / norm if norm > 0 else 1.0
