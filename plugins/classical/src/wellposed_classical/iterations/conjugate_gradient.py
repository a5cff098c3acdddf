"""Conjugate gradients on the normal equations of quadratic objectives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import CompositionError, Iteration, Problem, State
from wellposed.regularizer import Zero
from wellposed.space import inner, norm, per_sample

from .composite import summands
from .constants import random_image, start_image


@dataclass(frozen=True)
class ConjugateState(State):
    """The image and its projection `A x`, the negative gradient and the search direction."""

    x: Tensor
    projection: Tensor
    residual: Tensor
    direction: Tensor


class ConjugateGradient(Iteration[ConjugateState]):
    """CGLS for `min_x ½<Ax − y, W(Ax − y)> + R(x)` with quadratic `R`; one `A` and one `A*` a step.

    `x⁺ = x + α p`, `r⁺ = −∇(x⁺)`, `p⁺ = r⁺ + β p` with `α = <r, p>/<p, Hp>`, `H` the Hessian, and
    `β = max(0, <r⁺, r⁺ − r>/‖r‖²)`: the usual coefficients in exact arithmetic, which stay harmless where
    rounding ends progress. Images `(B, *domain.shape)`. Without a regularizer it solves `min ‖Ax − y‖` and
    regularizes by being stopped early; with one (`tikhonov`, of the image or of its gradient) it converges
    to the exact solution, in a finite number of steps but for rounding.

    Raises `CompositionError` for a fidelity or regularizer whose gradient is not affine.
    Sources: Hestenes and Stiefel 1952; Björck 1996, algorithm 7.4.1 (CGLS); Polak and Ribière 1969 (β).
    """

    source = "Hestenes and Stiefel 1952; Björck 1996, Numerical Methods for Least Squares Problems, algorithm 7.4.1"
    requires = frozenset({"grad"})
    stationary = False

    def check(self, problem: Problem) -> None:
        super().check(problem)
        y = torch.where(torch.isfinite(problem.measurement), problem.measurement, 1.0)
        # A probe meets no edge of the domain: without a count Kullback–Leibler's gradient is constant where it exists.
        everywhere = problem.fidelity.smooth_everywhere
        if not (everywhere and has_affine_gradient(lambda v: problem.fidelity.gradient(v, y), y)):
            raise CompositionError(
                f"ConjugateGradient solves linear equations, so the fidelity must be a squared distance (l2); "
                f"{type(problem.fidelity).__name__} is not"
            )
        zero = problem.zeros()
        for term in summands(problem.regularizer):
            if not has_affine_gradient(term.grad, zero):
                raise CompositionError(
                    f"ConjugateGradient solves linear equations, so the regularizer must be quadratic (tikhonov); "
                    f"{type(term).__name__} is not"
                )

    def init(self, problem: Problem, x: Tensor | None = None) -> ConjugateState:
        x = start_image(problem, x)
        projection = problem.operator(x)
        residual = -self._gradient(problem, x, projection)
        return ConjugateState(x, projection, residual, residual)

    def step(self, problem: Problem, state: ConjugateState) -> ConjugateState:
        p = state.direction
        image = problem.operator(p)
        alpha = _quotient(inner(state.residual, p), self._curvature(problem, p, image))
        x = torch.addcmul(state.x, p, torch.as_tensor(per_sample(alpha, p)))
        projection = torch.addcmul(state.projection, image, torch.as_tensor(per_sample(alpha, image)))
        residual = -self._gradient(problem, x, projection)
        turned = inner(residual, residual - state.residual).clamp_min(0.0)
        beta = _quotient(turned, inner(state.residual, state.residual))
        direction = torch.addcmul(residual, p, torch.as_tensor(per_sample(beta, p)))
        return ConjugateState(x, projection, residual, direction)

    @staticmethod
    def _gradient(problem: Problem, x: Tensor, projection: Tensor) -> Tensor:
        """The gradient of the objective, from `projection = A x`."""
        slope = problem.fidelity.gradient(projection, problem.measurement)
        gradient = problem.operator.vjp(x, slope)
        return gradient if isinstance(problem.regularizer, Zero) else gradient + problem.regularizer.grad(x)

    @staticmethod
    def _curvature(problem: Problem, p: Tensor, image: Tensor) -> Tensor:
        """`<p, H p>` with `H` the Hessian, from differences of the affine gradients."""
        y = problem.measurement
        curvature = _quadratic_form(lambda v: problem.fidelity.gradient(v, y), image, y)
        if isinstance(problem.regularizer, Zero):
            return curvature
        return curvature + _quadratic_form(problem.regularizer.grad, p, p)


def has_affine_gradient(gradient: Callable[[Tensor], Tensor], like: Tensor) -> bool:
    """Whether `g(u) + g(v) = g(u + v) + g(0)` for random `u`, `v` of several sizes, up to rounding."""
    with torch.no_grad():
        offset = gradient(torch.zeros_like(like))
        for size in (1.0, 100.0):
            u = size * random_image(like)
            v = u.flip(-1) + size
            parts = gradient(u), gradient(v), gradient(u + v), offset
            scale = torch.stack([norm(part) for part in parts]).sum(0)
            error = norm(parts[0] + parts[1] - parts[2] - parts[3])
            if not bool((torch.isfinite(scale) & (error <= 1e3 * torch.finfo(like.dtype).eps * scale)).all()):
                return False
    return True


def _quadratic_form(gradient: Callable[[Tensor], Tensor], q: Tensor, like: Tensor) -> Tensor:
    """`<q, W q>` where `gradient` is `v ↦ W v + b`; taken at the size of `like`, so that `b` costs no digits."""
    with torch.no_grad():
        size = _quotient(norm(like), norm(q))
        size = per_sample(torch.where(size > 0, size, 1.0), q)
    slope = gradient(size * q) - gradient(torch.zeros_like(q))
    return inner(q, slope / size)


def _quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """0 where the denominator is not positive: that sample is solved."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1.0), 0.0)
