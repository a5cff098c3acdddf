"""The derivative of the upper level by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wellposed import Problem
from wellposed.linear_algebra import conjugate_gradient
from wellposed.space import inner, norm

from .parameters import Vector
from .upper_level import UpperLevel

#: Distance of the difference formula's points in the unit box: of 14 decades, 0.003 of one.
_SPACING = 2e-4


@dataclass(frozen=True)
class Hypergradient:
    """`∇f` with respect to the point of the unit box, the relative residual of its linear solve and its cost."""

    gradient: Vector
    residual: float
    products: int


def hypergradient(problem: UpperLevel, point: Vector, x: Tensor, tolerance: float, limit: int) -> Hypergradient:
    """`df/dθ_j = −<q, ∂_j ∇_xΦ(x; θ)> + ∂_j J` with `∇²_xΦ q = 2(x − truth)`, at lower-level solutions `x`.

    The Hessian products are automatic derivatives of the lower-level gradient, all images at once. The
    derivatives in `θ` are those of functions known in closed form at a given image, taken by differences of
    fourth order, so that no component needs to be differentiable in its parameters. Source: Sherry et al.
    2020, Learning the sampling pattern for MRI, section III; Pedregosa 2016 (HOAG), Algorithm 1.
    """
    rhs = 2 * (x - problem.truth)
    apply, count = _hessian(problem.problem(point), x)
    q = conjugate_gradient(apply, rhs, tolerance=tolerance, limit=limit)
    largest = norm(rhs).clamp_min(torch.finfo(rhs.dtype).tiny)
    residual = float((norm(apply(q) - rhs) / largest).max())

    def along(at: Vector) -> float:
        posed = problem.problem(at)
        with torch.no_grad():
            coupling = -float(inner(q, posed.gradient(x)).double().sum())
        return coupling + (0.0 if problem.penalty is None else problem.penalty(posed))

    gradient = np.array([_derivative(along, point, j) for j in range(len(point))])
    return Hypergradient(gradient, residual, count())


def _hessian(problem: Problem, x: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[], int]]:
    """`v ↦ ∇²Φ(x) v` from one taped gradient, and how often it was applied, summed over the images."""
    applied = 0
    with torch.enable_grad():
        variable = x.detach().requires_grad_()
        gradient = problem.gradient(variable)

    def apply(v: Tensor) -> Tensor:
        nonlocal applied
        applied += len(v)
        (product,) = torch.autograd.grad(gradient, variable, v, retain_graph=True)
        return product

    return apply, lambda: applied


def _derivative(function: Callable[[Vector], float], point: Vector, axis: int) -> float:
    """Five-point derivative along an axis of the unit box, its points moved inside where a face is near."""
    middle = min(max(point[axis], 2 * _SPACING), 1 - 2 * _SPACING)
    nodes = middle + _SPACING * np.arange(-2.0, 3.0)
    values = []
    for node in nodes:
        moved = point.copy()
        moved[axis] = node
        values.append(function(moved))
    offsets = (nodes - point[axis]) / _SPACING
    # Weights that are exact for polynomials of degree four: Σ w_i o_i^k = [k = 1].
    weights = np.linalg.solve(np.vander(offsets, 5, increasing=True).T, np.eye(5)[1])
    return float(weights @ np.array(values)) / _SPACING
