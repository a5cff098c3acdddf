"""The derivatives that gradient objects promise, on problems whose fixed-point map has known eigenvalues.

Gradient descent on a diagonal problem, `T(x) = x − τ(d̄(dx − y) + wx)`, has the derivative `1 − τ(|d|² + w)` in each
entry, so what a gradient puts for `(I − ∂T/∂x)⁻¹` can be read off: `1/(1 − λ)` where it is `exact`, what its
`resolvent` says where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..driver import solve
from ..gradient import Gradient
from ..problem import Problem
from ..space import inner
from ..stopping import Stop
from .adjointness import like
from .closed_forms import forms
from .doubles import GradientStep, QuadraticFidelity
from .measure import at_most, relative, same_tensor, that
from .promise import NotPromised, check
from .subject import Subject
from .terms import DiagonalOperator, LearnedQuadratic

_STEPS = 400


@check(since="0.2")
def derivative_is_what_it_promises(subject: Subject) -> None:
    """The derivative in the measurement is the exact one to 1e-5, or what `resolvent` says; of complex images too."""
    for complex_data in (False, True):
        posed = _Posed.of(subject.build(), complex_data)
        in_measurement, _ = posed.derivatives()
        at_most(
            relative(in_measurement, posed.expected_in_measurement()),
            1e-5,
            f"the derivative by {subject.label} in the {'complex ' * complex_data}measurement",
        )


@check(since="0.2")
def reaches_learned_parameters(subject: Subject) -> None:
    """The derivative in a learned parameter, here the weight of the regularizer, is so too."""
    posed = _Posed.of(subject.build())
    _, in_weight = posed.derivatives()
    that(in_weight is not None, f"no derivative by {subject.label} reaches a learned weight of the regularizer")
    assert in_weight is not None
    at_most(
        relative(in_weight, posed.expected_in_weight()), 1e-5, f"the derivative by {subject.label} in a learned weight"
    )


@check(since="0.2")
def derivative_is_repeatable(subject: Subject) -> None:
    """Twice the same derivative, bit by bit, by one object and by another like it."""
    gradient = subject.build()
    first = _Posed.of(gradient).derivatives()[0]
    for again in (gradient, subject.build()):
        second = _Posed.of(again).derivatives()[0]
        that(same_tensor(first, second), f"{subject.label} gives another derivative for the same problem")


@check(since="0.2")
def derivative_is_linear(subject: Subject) -> None:
    """The derivative applied to a direction scales with it over twelve decades, and samples do not mix."""
    posed = _Posed.of(subject.build())
    whole = posed.derivatives()[0]
    for scale in (1e-6, 1e6):
        scaled = posed.derivatives(scale * posed.direction)[0]
        at_most(relative(scaled / scale, whole), 1e-5, f"the derivative by {subject.label} along {scale:g} times it")
    single = posed.direction.clone()
    single[1:] = 0
    mixed = posed.derivatives(single)[0]
    at_most(relative(mixed[:1], whole[:1]), 1e-5, f"the derivative by {subject.label} for one sample of a batch")
    at_most(float(mixed[1:].abs().max()), 1e-12, f"the derivative by {subject.label} of one sample in another's data")


@check(since="0.2")
def derivative_keeps_precision(subject: Subject) -> None:
    """In float32 it is what it is in float64, to 1e-3."""
    double, single = _Posed.of(subject.build()), _Posed.of(subject.build(torch.float32), dtype=torch.float32)
    rough, exact = single.derivatives()[0], double.derivatives()[0]
    that(rough.dtype == torch.float32, f"the derivative by {subject.label} in float32 is {rough.dtype}")
    at_most(relative(rough, exact), 1e-3, f"the derivative by {subject.label} in float32")


@dataclass
class _Posed:
    """A diagonal problem with a learned weight, solved with a gradient."""

    gradient: Gradient
    problem: Problem
    diagonal: Tensor
    weight: LearnedQuadratic
    direction: Tensor

    @classmethod
    def of(cls, gradient: Gradient, complex_data: bool = False, dtype: torch.dtype = torch.float64) -> _Posed:
        name = "complex images" if complex_data else "three channels"
        (form,) = (f for f in forms() if f.name == name)
        field = dtype.to_complex() if complex_data else dtype
        diagonal, y = form.diagonal.to(field), form.data.to(field)
        weight = LearnedQuadratic(0.3).to(dtype)
        problem = Problem(DiagonalOperator(diagonal).to(dtype), y, QuadraticFidelity(), weight)
        return cls(gradient, problem, diagonal, weight, like(form.data, 5).to(field))

    def derivatives(self, direction: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """`(∂x/∂y)*v` and `(∂x/∂w)*v` for a direction `v`."""
        y = self.problem.measurement.clone().requires_grad_()
        problem = Problem(self.problem.operator, y, self.problem.fidelity, self.weight)
        x = solve(problem, GradientStep(), stop=Stop(_STEPS), gradient=self.gradient).x
        if not x.requires_grad:
            raise NotPromised("the solution is a constant under it")
        v = self.direction if direction is None else direction
        found = torch.autograd.grad(x, (y, self.weight.factor), v, allow_unused=True)  # type: ignore[arg-type]
        return (torch.zeros_like(y) if found[0] is None else found[0]), found[1]

    def expected_in_measurement(self) -> Tensor:
        return self._resolved() * self.diagonal * self.direction

    def expected_in_weight(self) -> Tensor:
        square = self.diagonal.abs() ** 2
        x = self.diagonal.conj() * self.problem.measurement / (square + 0.3)
        return -inner(self._resolved() * x, self.direction).sum()

    def _resolved(self) -> Tensor:
        """`τ` times what stands for `1/(1 − λ)`."""
        square = self.diagonal.abs() ** 2
        step = 1 / (square.max() + 0.3)
        found = self.gradient.resolvent(1 - step * (square + 0.3))
        if found is None:
            raise NotPromised("it promises a direction alone")
        return step * found


CHECKS = (
    derivative_is_what_it_promises,
    reaches_learned_parameters,
    derivative_is_repeatable,
    derivative_is_linear,
    derivative_keeps_precision,
)
