"""Matrix-free linear algebra: conjugate gradients, differentiable linear maps and normal equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .precision import exact
from .space import inner, norm, per_sample

if TYPE_CHECKING:
    from .operator import LinearOperator

Map = Callable[[Tensor], Tensor]
#: Curvatures of so many roundings of the largest one that was met are none.
_FLAT = 10.0


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
    or where rounding stops progress: a direction along which `M` is zero but for rounding would be followed without
    end. Source: Hestenes and Stiefel 1952.
    """
    if tolerance is None:
        tolerance = 20 * torch.finfo(rhs.dtype).eps
    x = torch.zeros_like(rhs) if start is None else start.clone()
    r = rhs - apply(x) if start is not None else rhs.clone()
    p, rho = r.clone(), inner(r, r)
    target = (tolerance * norm(rhs)) ** 2
    # Looking waits for the device; steps of samples that are done change nothing, so looking now and then is enough.
    every = 1 if rhs.device.type == "cpu" else 8
    steepest, active = torch.zeros_like(rho), torch.ones_like(rho, dtype=torch.bool)
    for count in range(limit):
        active = active & (rho > target)
        if count % every == 0 and not bool(active.any()):
            break
        q = apply(p)
        curvature, length = inner(p, q), inner(p, p)
        steepest = torch.maximum(steepest, _ratio(curvature, length, active).detach())
        active = active & (curvature > _FLAT * torch.finfo(rhs.dtype).eps * steepest * length)
        alpha = _ratio(rho, curvature, active)
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


class NormalSolve(torch.autograd.Function):
    """`x = (A*A + s I)⁻¹ b`; `db* = (A*A + s I)⁻¹ v`, `ds* = −<db*, x>`: the matrix is symmetric."""

    @staticmethod
    def forward(ctx: Any, rhs: Tensor, shift: Tensor, operator: LinearOperator) -> Tensor:
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


def _ratio(numerator: Tensor, denominator: Tensor, where: Tensor) -> Tensor:
    """The quotient `where` it is asked for and 0 elsewhere, also in its derivative."""
    return torch.where(where, numerator / torch.where(where, denominator, 1.0), 0.0)


def inverse_norm(operator: LinearOperator) -> float:
    """`1/‖A‖`, which scales an operator to norm 1; 1 for the zero operator, which no factor changes."""
    norm = operator.norm()
    return 1.0 / norm if norm > 0 else 1.0
