"""Problems as saddle points `min_x max_p F(x) + Σ <K_i x, p_i> − g_i*(p_i)`, and the maps of their two sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import Problem, Regularizer

from .composite import descend
from .splitting import Block, DataBlock, quadratic_prox, split_terms


@dataclass(frozen=True)
class Saddle:
    """`F = h`, or `h + D(A·, y)` where `curvature` `q` says that the data term is `q/2‖x − b‖²`, exactly.

    `h` is the first of the regularizer's terms that needs no analysis map.
    """

    problem: Problem
    direct: Regularizer | None
    blocks: tuple[Block, ...]
    curvature: Tensor | None

    @classmethod
    def of(cls, problem: Problem, curvature: Tensor | None = None) -> Saddle:
        terms = split_terms(problem.regularizer)
        first = next((i for i, t in enumerate(terms) if t.analysis is None), None)
        direct = None if first is None else terms.pop(first).functional
        data: list[Block] = [DataBlock(problem)] if curvature is None else []
        return cls(problem, direct, (*data, *terms), curvature)

    def ascend(self, dual: Sequence[Tensor], x: Tensor, sigma: Sequence[float | Tensor]) -> tuple[Tensor, ...]:
        """`p̂_i = prox_{σ_i g_i*}(p_i + σ_i K_i x)`."""
        parts = zip(self.blocks, dual, sigma, strict=True)
        return tuple(b.prox_conjugate(descend(p, b.apply(x), -s), s) for b, p, s in parts)

    def pull(self, dual: Sequence[Tensor], like: Tensor) -> Tensor:
        """`Σ K_i* p_i`, an image."""
        total = None
        for block, p in zip(self.blocks, dual, strict=True):
            part = block.adjoint(p)
            total = part if total is None else total + part
        return torch.zeros_like(like) if total is None else total

    def primal_prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        """The proximal map of `F`."""
        if self.curvature is not None:
            return quadratic_prox(self.problem, self.direct, self.curvature, x, step)
        return x if self.direct is None else self.direct.prox(x, step)

    def strong_convexity(self) -> float | Tensor:
        """That of `F`."""
        own = 0.0 if self.direct is None else self.direct.strong_convexity
        return own if self.curvature is None else own + self.curvature
