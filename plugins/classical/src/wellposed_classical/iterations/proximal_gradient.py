"""The proximal gradient method: ISTA, projected gradient descent, plug-and-play forward–backward."""

from __future__ import annotations

from wellposed import Regularizer

from .composite import Composite, proximal_composite
from .forward_backward import ForwardBackward


class ProximalGradient(ForwardBackward):
    """`x ← prox_{s g}(x − s∇f(x))`, with `f` the data term and `g` the regularizer, images `(B, *domain.shape)`.

    Of a sum of regularizers one may lack a gradient: it is `g`, the others join `f`. `step_size`: a
    number, `(B,)`, or a learned parameter; by default `1/L` with `L` the Lipschitz constant of `∇f`, and
    `2/(L+μ)` where `f` is `μ`-strongly convex. `O(1/k)` in the objective; linear, with a certified bound
    on the distance to the solution, where `f` or `g` is strongly convex.

    Raises `CompositionError` where the regularizer has no proximal map, or no step size is known.
    Source: Beck and Teboulle 2009, eq. (3.1) (ISTA).
    """

    source = "Beck and Teboulle 2009, A fast iterative shrinkage-thresholding algorithm, eq. (3.1)"
    requires = frozenset({"prox"})

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"step_size": 0.1})

    def composite(self, regularizer: Regularizer) -> Composite:
        return proximal_composite(self, regularizer)
