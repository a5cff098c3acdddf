"""What every gradient object promises: the value is left alone, and derivatives point the right way."""

from __future__ import annotations

import torch
from torch import Tensor

from ..driver import solve
from ..gradient import Gradient
from ..problem import Problem
from ..stopping import Stop
from .doubles import DenseOperator, GradientStep, QuadraticRegularizer
from .measure import at_most, dot, normal, relative, size_of, that
from .problems import least_squares
from .promise import NotPromised, check
from .subject import Subject

_STEPS = 300


@check()
def leaves_the_solution_alone(subject: Subject) -> None:
    """The solution is the same as without differentiation."""
    posed = least_squares(QuadraticRegularizer())
    x = _solved(subject.build(), posed.problem, posed.problem.measurement)
    at_most(relative(x, posed.solution), 1e-8, f"the solution under {subject.label} against the closed form")


@check()
def points_the_right_way(subject: Subject) -> None:
    """The derivative of the solution with respect to the measurement is exact, or at least an ascent direction."""
    posed = least_squares(QuadraticRegularizer())
    y = posed.problem.measurement.clone().requires_grad_()
    x = _solved(subject.build(), posed.problem, y)
    if not x.requires_grad:
        raise NotPromised("the solution is a constant under it")
    direction = normal(posed.problem.operator.domain, seed=7)
    (gradient,) = torch.autograd.grad(x, y, direction)
    exact = _exact(posed.problem, direction)
    cosine = dot(gradient, exact) / (size_of(gradient) * size_of(exact) or 1.0)
    that(
        cosine > 0.5,
        f"the derivative by {subject.label} must point along the exact one; the cosine of their angle is {cosine:.3g}",
    )
    if subject.build().exact:
        at_most(relative(gradient, exact), 1e-5, f"{subject.label} claims to be exact")


@check()
def honours_no_grad(subject: Subject) -> None:
    """Under `torch.no_grad()` nothing is recorded."""
    posed = least_squares(QuadraticRegularizer())
    y = posed.problem.measurement.clone().requires_grad_()
    with torch.no_grad():
        x = _solved(subject.build(), posed.problem, y)
    that(not x.requires_grad, f"{subject.label} records a graph under torch.no_grad()")


def _solved(gradient: Gradient, problem: Problem, y: Tensor) -> Tensor:
    posed = Problem(problem.operator, y, problem.fidelity, problem.regularizer)
    return solve(posed, GradientStep(), stop=Stop(_STEPS), gradient=gradient).x


def _exact(problem: Problem, direction: Tensor) -> Tensor:
    """`(∂x*/∂y)ᵀ d = M (MᵀM + w)⁻¹ d` of the ridge solution."""
    operator, regularizer = problem.operator, problem.regularizer
    assert isinstance(operator, DenseOperator)
    assert isinstance(regularizer, QuadraticRegularizer)
    return operator(operator.solve_normal(direction, regularizer.factor))


CHECKS = (leaves_the_solution_alone, points_the_right_way, honours_no_grad)
