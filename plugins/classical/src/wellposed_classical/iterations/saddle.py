"""Problems as saddle points `min_x max_p F(x) + Σ <K_i x, p_i> − g_i*(p_i)`: maps and duality gap."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import LinearOperator, Problem, Regularizer
from wellposed.space import inner, norm, per_sample

from .splitting import Block, DataBlock, quadratic_prox, split_terms

#: The duality gap of an unbounded problem is taken over a ball of this many times the norm of the image.
_BALL = 2.0


@dataclass(frozen=True)
class Saddle:
    """`F = h`, or `h + D(A·, y)` where `curvature` `q` says that the data term is `q/2‖x − b‖²`.

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

    def pull(self, dual: tuple[Tensor, ...], like: Tensor) -> Tensor:
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

    def gap(self, image: Tensor, dual: tuple[Tensor, ...], steps: list[Tensor]) -> tuple[Tensor, Tensor] | None:
        """Primal minus dual objective `(B,)`, and whether it is one over the whole space, `(B,)` bool.

        A dual point outside the domain of its conjugate (relaxation, rounding) is moved into it by the
        proximal map with `steps`. Where `F*` is infinite at `−ΣK_i*p_i`, the supremum in it is taken over
        the ball of twice the norm of `image`, or of `A*y/‖A‖²` where that is larger (an image near 0 must
        not make the ball vanish): an upper bound of the objective's distance from its minimum as soon as
        the solution lies in that ball. `None` where a conjugate is not known.
        """
        dual_value: Tensor | float = 0.0
        feasible: list[Tensor] = []
        for block, p, step in zip(self.blocks, dual, steps, strict=True):
            found = _feasible(block, p, step)
            if found is None:
                return None
            feasible.append(found[0])
            dual_value = dual_value + found[1]
        slope = -self.pull(tuple(feasible), image)
        conjugate = self._conjugate(slope, image)
        if conjugate is None:
            return None
        return self._primal(image) + conjugate[0] + dual_value, conjugate[1]

    def _primal(self, image: Tensor) -> Tensor:
        total = self.problem.data_value(image) if self.curvature is not None else image.new_zeros(len(image)).real
        if self.direct is not None:
            total = total + self.direct(image)
        for block in self.blocks:
            total = total + block.value(block.apply(image))
        return total

    def _scale(self) -> Tensor:
        """The size of an image that the measurement asks for: that of the first step of least squares."""
        operator, y = self.problem.operator, self.problem.measurement
        assert isinstance(operator, LinearOperator), "primal-dual methods refuse others"
        size = operator.norm() ** 2
        return norm(operator.adjoint(y)) / (size if size > 0 else 1.0)

    def _conjugate(self, slope: Tensor, image: Tensor) -> tuple[Tensor, Tensor] | None:
        """`F*(slope)`, or its bound over a ball, and whether it is `F*` itself."""
        if self.curvature is not None:
            peak = slope - self.problem.data_gradient(torch.zeros_like(slope))
            peak = peak / per_sample(self.curvature, peak)
            if self.direct is not None:
                peak = self.direct.prox(peak, 1 / self.curvature)
            value = inner(slope, peak) - self.problem.data_value(peak)
            value = value if self.direct is None else value - self.direct(peak)
            return value, torch.ones_like(value, dtype=torch.bool)
        radius = _BALL * torch.maximum(norm(image), self._scale())
        if self.direct is None:
            return radius * norm(slope), slope.flatten(1).abs().amax(1) == 0
        exact = self.direct.conjugate(slope)
        inside = self.direct.prox_conjugate(slope, 1.0)
        near = self.direct.conjugate(inside)
        if exact is None or near is None:
            return None
        finite = torch.isfinite(exact)
        return torch.where(finite, exact, near + radius * norm(slope - inside)), finite


def _feasible(block: Block, p: Tensor, step: Tensor) -> tuple[Tensor, Tensor] | None:
    """A dual point in the domain of the block's conjugate, equal to `p` where that is, and its value."""
    value = block.conjugate(p)
    if value is None:
        return None
    if bool(torch.isfinite(value).all()):
        return p, value
    # The domain holds 0: shrinking by a few roundings takes a point of its boundary inside.
    inside = block.prox_conjugate(p, step) * (1 - 8 * torch.finfo(p.dtype).eps)
    p = torch.where(per_sample(torch.isfinite(value), p), p, inside)  # type: ignore[arg-type]
    value = block.conjugate(p)
    return None if value is None else (p, value)
