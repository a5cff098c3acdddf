"""The ℓ1 norm of the image."""

from __future__ import annotations

from wellposed.interface import KnownValue

from .group_norm import GroupNorm


class L1Norm(GroupNorm):
    """`R(x) = Σ_i |x_i|` for images of any shape; complex values count by their modulus.

    `prox` shrinks each value towards 0 by `step` (soft thresholding), and the conjugate is the indicator
    of `max|p_i| ≤ 1`. Source: Donoho 1995; Parikh and Boyd 2014, section 6.5.2.
    """

    source = "Donoho 1995, De-noising by soft-thresholding; Parikh and Boyd 2014, section 6.5.2"
    invariances = frozenset({"translation", "c4", "d4"})

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[[1.0, -2.0], [0.0, 3.0]]],), [6.0]), KnownValue(([[[3 + 4j]]],), [5.0]))

    def __init__(self) -> None:
        super().__init__(axes=())

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({},)

    def extra_repr(self) -> str:
        return ""
