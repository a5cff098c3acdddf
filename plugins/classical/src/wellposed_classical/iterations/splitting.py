"""Objectives as sums of simple functions of linear maps, for primal–dual methods and ADMM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from wellposed import CompositionError, Iteration, LinearOperator, Problem, Regularizer
from wellposed.iteration import lacks
from wellposed.regularizer import Analysis, Sum, Weighted, Zero
from wellposed.space import per_sample

from .constants import fidelity_smoothness, samples


class Block(Protocol):
    """One convex function `g` of one linear image `K x`."""

    def apply(self, x: Tensor) -> Tensor: ...
    def adjoint(self, p: Tensor) -> Tensor: ...
    def norm(self, x: Tensor) -> float: ...
    def value(self, v: Tensor) -> Tensor: ...
    def prox(self, v: Tensor, step: float | Tensor) -> Tensor: ...
    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor: ...
    def conjugate(self, p: Tensor) -> Tensor | None: ...


@dataclass(frozen=True)
class DataBlock:
    """`D(A x, y)`."""

    problem: Problem

    @property
    def operator(self) -> LinearOperator:
        assert isinstance(self.problem.operator, LinearOperator), "refused by check"
        return self.problem.operator

    def apply(self, x: Tensor) -> Tensor:
        return self.operator(x)

    def adjoint(self, p: Tensor) -> Tensor:
        return self.operator.adjoint(p)

    def norm(self, x: Tensor) -> float:
        return self.operator.norm()

    def value(self, v: Tensor) -> Tensor:
        return self.problem.fidelity(v, self.problem.measurement)

    def prox(self, v: Tensor, step: float | Tensor) -> Tensor:
        return self.problem.fidelity.prox(v, self.problem.measurement, step)

    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor:
        return self.problem.fidelity.prox_conjugate(p, self.problem.measurement, step)

    def conjugate(self, p: Tensor) -> Tensor | None:
        return self.problem.fidelity.conjugate(p, self.problem.measurement)


@dataclass(frozen=True)
class TermBlock:
    """One term `g(K x)` of a regularizer; `analysis` is `K`, or `None` for the identity."""

    functional: Regularizer
    analysis: Analysis | None

    def apply(self, x: Tensor) -> Tensor:
        return x if self.analysis is None else self.analysis(x)

    def adjoint(self, p: Tensor) -> Tensor:
        return p if self.analysis is None else self.analysis.adjoint(p)

    def norm(self, x: Tensor) -> float:
        return 1.0 if self.analysis is None else self.analysis.norm(x)

    def value(self, v: Tensor) -> Tensor:
        return self.functional(v)

    def prox(self, v: Tensor, step: float | Tensor) -> Tensor:
        return self.functional.prox(v, step)

    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor:
        return self.functional.prox_conjugate(p, step)

    def conjugate(self, p: Tensor) -> Tensor | None:
        return self.functional.conjugate(p)


def split_terms(regularizer: Regularizer) -> list[TermBlock]:
    """The terms of a regularizer as blocks."""
    if isinstance(regularizer, Zero):
        return []
    return [TermBlock(t.functional, t.analysis) for t in regularizer.split()]


def check_split(iteration: Iteration, regularizer: Regularizer) -> None:
    """Raise `CompositionError` where a regularizer has neither a split nor a proximal map."""
    if not _splits(regularizer):
        raise lacks(iteration, regularizer, {"split"})


def check_linear(iteration: Iteration, problem: Problem) -> None:
    """Raise `CompositionError` where the operator is not linear."""
    if not isinstance(problem.operator, LinearOperator):
        raise CompositionError(
            f"{type(iteration).__name__} needs a linear operator; {type(problem.operator).__name__} is not linear"
        )


def _splits(regularizer: Regularizer) -> bool:
    if isinstance(regularizer, Sum):
        return all(_splits(term) for term in regularizer)
    if isinstance(regularizer, Weighted):
        return _splits(regularizer.regularizer)
    return bool(regularizer.capabilities & {"split", "prox"})


def quadratic_weight(problem: Problem, x: Tensor) -> Tensor | None:
    """`m`, `(B,)`, where `D(v, y) = m/2‖v‖² + linear`: its curvature bounds from both sides agree.

    `None` for other fidelities, and where the fidelity itself is being learned.
    """
    smoothness = fidelity_smoothness(problem)
    if smoothness is None or any(p.requires_grad for p in problem.fidelity.parameters()):
        return None
    above = samples(smoothness, x)
    below = samples(problem.fidelity.strong_convexity(problem.measurement), x)
    return above if bool(((above == below) & (above > 0)).all()) else None


def quadratic_prox(
    problem: Problem, direct: Regularizer | None, curvature: Tensor, x: Tensor, step: float | Tensor
) -> Tensor:
    """Proximal map of `D(A·, y) + h` where `A*A = c·I` and `D` is a multiple `m` of a squared distance.

    `prox_{s(D∘A + h)}(x) = prox_{s' h}((x − s∇(D∘A)(0))/(1 + s q))`, `q = m c`, `s' = s/(1 + s q)`.
    """
    scale = 1 / (1 + step * curvature)
    moved = x - per_sample(step, x) * problem.data_gradient(torch.zeros_like(x))
    moved = moved * per_sample(scale, x)
    return moved if direct is None else direct.prox(moved, step * scale)
