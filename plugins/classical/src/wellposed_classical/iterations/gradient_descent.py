"""Gradient descent on the whole objective."""

from __future__ import annotations

from wellposed import Regularizer
from wellposed.iteration import lacks

from .composite import Composite, gradient_composite
from .forward_backward import ForwardBackward


class GradientDescent(ForwardBackward):
    """`x ← x − s (A'(x)*∇D(A(x), y) + ∇R(x))`, images `(B, *domain.shape)`.

    `step_size`: a number, `(B,)`, or a learned parameter; by default `1/L`, and `2/(L+μ)` where the
    objective is `μ`-strongly convex. Linear convergence with factor `(L−μ)/(L+μ)` there, and a certified
    bound on the distance to the solution; `O(1/k)` in the objective otherwise. With a nonlinear operator
    the derivative's adjoint takes the place of `A*`, and the default step is that of a frozen derivative.

    Raises `CompositionError` where the regularizer has no gradient or no Lipschitz constant is known and
    no step size is given. Source: Nesterov 2018, Lectures on Convex Optimization, theorem 2.1.15.
    """

    source = "Nesterov 2018, Lectures on Convex Optimization, theorems 2.1.14 and 2.1.15"
    requires = frozenset({"grad"})

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"step_size": 0.1})

    def composite(self, regularizer: Regularizer) -> Composite:
        if "grad" not in regularizer.capabilities:
            raise lacks(self, regularizer, {"grad"})
        return gradient_composite(regularizer)
