"""What a nonlinear operator promises: a right derivative and, where stated, its bound."""

from __future__ import annotations

import torch
from torch import Tensor

from ..operator import Operator
from .linear_operators import is_linear
from .measure import at_most, dot, normal, relative, size_of, taylor_slope, that
from .operators import images_for
from .promise import NotPromised, check
from .subject import Subject


def is_nonlinear(cls: type) -> bool:
    return issubclass(cls, Operator) and not is_linear(cls)


@check(applies=is_nonlinear)
def derivative_is_right(subject: Subject) -> None:
    """`<A(x + th) − A(x), v> − t <h, A'(x)* v>` falls with t², so `vjp` is the adjoint derivative."""
    operator = subject.build()
    x, h = images_for(operator), images_for(operator, seed=1)
    v = normal(operator.range, seed=2)
    value, slope = dot(operator(x), v), dot(h, operator.vjp(x, v))
    scale = size_of(operator(x)) * size_of(v)
    order = taylor_slope(lambda t: abs(dot(operator(x + t * h), v) - value - t * slope), scale)
    that(
        order >= 1.8,
        f"the remainder of {subject.label}'s linearisation by vjp must fall with the square of the step; its order "
        f"is {order:.2f}, which tells of a wrong derivative",
    )


@check(applies=is_nonlinear)
def derivative_is_autograd(subject: Subject) -> None:
    """`vjp` is what reverse-mode differentiation of the forward map gives."""
    operator = subject.build()
    x, v = images_for(operator).requires_grad_(), normal(operator.range, seed=2)
    (expected,) = torch.autograd.grad(operator(x), x, v)
    at_most(relative(operator.vjp(x.detach(), v), expected), 1e-10, f"{subject.label}.vjp against autograd")


@check(applies=is_nonlinear)
def norm_bounds_derivative(subject: Subject) -> None:
    """`‖A'(x)* v‖ ≤ norm()·‖v‖` for all nonnegative images, at worst directions found by power iteration."""
    operator = subject.build()
    bound = operator.norm()
    if bound is None:
        raise NotPromised("it states no bound of its derivative")
    for x in (images_for(operator), torch.zeros_like(images_for(operator))):
        v = normal(operator.range, seed=2)
        for _ in range(20):
            v = v / size_of(v)
            back = operator.vjp(x, v)
            at_most(size_of(back), bound * (1 + 1e-6), f"‖A'(x)*‖ of {subject.label} against its norm()")
            if not size_of(back):
                break
            v = _pushforward(operator, x, back, v)


def _pushforward(operator: Operator, x: Tensor, u: Tensor, like: Tensor) -> Tensor:
    """`A'(x) u`, as the gradient of `<A'(x)* v, u>` in `v`."""
    v = torch.zeros_like(like, requires_grad=True)
    (pushed,) = torch.autograd.grad(operator.vjp(x, v), v, u)
    return pushed


CHECKS = (derivative_is_right, derivative_is_autograd, norm_bounds_derivative)
