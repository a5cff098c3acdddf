"""Tikhonov's quadratic regularization of the image or its gradient."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from wellposed import Regularizer
from wellposed.interface import KnownValue
from wellposed.regularizer import Term
from wellposed.space import per_sample

from ..differences import Differences, check_image, filter_spectrum
from ..magnitude import per_image, squared_magnitude


class Tikhonov(Regularizer):
    """`R(x) = ½‖L x‖²` with `operator` L = "identity", or "gradient": forward differences, Neumann boundary.

    Images `(B, C, *spatial)`, real or complex; with the identity any shape. `prox` is `x/(1 + s)`, or by
    cosine transforms `(I + s∇*∇)⁻¹x`. Source: Tikhonov and Arsenin 1977, chapter II.
    """

    source = "Tikhonov and Arsenin 1977, Solutions of Ill-Posed Problems, chapter II"
    capabilities = frozenset({"value", "grad", "prox", "split"})
    convex = True

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[[[1.0, -2.0], [0.0, 3.0]]]],), [7.0]),)

    def __init__(self, operator: Literal["identity", "gradient"] = "identity") -> None:
        super().__init__()
        self.differences = Differences() if operator == "gradient" else None
        self.strong_convexity = 0.0 if self.differences else 1.0
        self.smoothness = None if self.differences else 1.0
        self.invariances = frozenset({"translation", "c4", "d4"})

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"operator": "identity"}, {"operator": "gradient"})

    def forward(self, x: Tensor) -> Tensor:
        image = x if self.differences is None else self.differences(x)
        return 0.5 * per_image(squared_magnitude(image))

    def grad(self, x: Tensor) -> Tensor:
        return x.clone() if self.differences is None else self.differences.adjoint(self.differences(x))

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        s = per_sample(step, x)
        if self.differences is None:
            return x / (1 + s)
        return filter_spectrum(x, lambda squares: 1 / (1 + s * squares))

    def split(self) -> list[Term]:
        """`½‖·‖²` of the image, or of its gradient."""
        return [Term(self)] if self.differences is None else [Term(Tikhonov(), self.differences)]

    def conjugate(self, p: Tensor) -> Tensor | None:
        return None if self.differences else 0.5 * per_image(squared_magnitude(p))

    def smoothness_on(self, x: Tensor) -> float:
        if self.differences is None:
            return 1.0
        check_image(x, "Tikhonov on the gradient")
        return self.differences.norm(x) ** 2

    def extra_repr(self) -> str:
        return "" if self.differences else "identity"
