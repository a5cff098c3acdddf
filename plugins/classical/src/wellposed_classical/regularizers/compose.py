"""A regularizer of the image of a linear map."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import CompositionError, InputError, LinearOperator, Regularizer
from wellposed.regularizer import Analysis, Term
from wellposed.space import norm

#: How far `A A* z` may be from `z`, in roundings, for a declared co-isometry.
_ROUNDINGS = 1e3


class Compose(Regularizer):
    """`R(A x)` for a regularizer `R` and a linear operator `A`: sparsity of measurements, of coefficients, ….

    `x` lies in the operator's domain. The value and the gradient `A*∇R(Ax)` are there where `R` has them;
    primal–dual methods split it into `R`'s terms composed with `A`. `prox` exists only where
    `orthonormal_rows` declares `A A* = I`, and is then `x + A*(prox_R(Ax) − Ax)`.

    Raises `InputError` where a random measurement shows that the declaration is wrong, and
    `CompositionError` for a regularizer that this cannot make use of.
    Source: Combettes and Pesquet 2011, Proximal splitting methods in signal processing, table 10.1.
    """

    source = "Combettes and Pesquet 2011, Proximal splitting methods in signal processing, table 10.1"

    def __init__(self, regularizer: Regularizer, operator: LinearOperator, orthonormal_rows: bool = False) -> None:
        super().__init__()
        self.regularizer, self.operator = regularizer, operator
        capabilities = set(regularizer.capabilities - {"prox", "split"})
        if regularizer.capabilities & {"prox", "split"}:
            capabilities.add("split")
        if orthonormal_rows and "prox" in regularizer.capabilities:
            _check_orthonormal_rows(operator)
            capabilities.add("prox")
        if not capabilities:
            raise CompositionError(
                f"{type(regularizer).__name__} has a proximal map alone, and composed with "
                f"{type(operator).__name__} not even that; declare orthonormal_rows if A A* = I"
            )
        self.capabilities = frozenset(capabilities)
        self.convex = regularizer.convex
        self.prox_accuracy = regularizer.prox_accuracy

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        kernel = {"use": "gaussian-kernel", "sigma": 0.7, "size": 5}
        blur = {"use": "convolution", "shape": [16, 16], "kernel": kernel}
        identity = {"use": "identity", "shape": [16, 16]}
        return (
            {"regularizer": {"use": "huber", "delta": 0.1}, "operator": blur},
            {"regularizer": "l1", "operator": identity, "orthonormal_rows": True},
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.regularizer(self.operator(x))

    def grad(self, x: Tensor) -> Tensor:
        if "grad" not in self.capabilities:
            raise self._missing("grad")
        return self.operator.adjoint(self.regularizer.grad(self.operator(x)))

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        if "prox" not in self.capabilities:
            raise self._missing("prox")
        image = self.operator(x)
        return x + self.operator.adjoint(self.regularizer.prox(image, step) - image)

    def prox_with_error(self, x: Tensor, step: float | Tensor) -> tuple[Tensor, Tensor]:
        """The error is that of the inner map, since `A*` keeps distances."""
        if "prox" not in self.capabilities:
            raise self._missing("prox")
        image = self.operator(x)
        inner, error = self.regularizer.prox_with_error(image, step)
        return x + self.operator.adjoint(inner - image), error

    def split(self) -> list[Term]:
        """The terms `g_i(K_i A x)` of `R(Ax) = Σ g_i(K_i A x)`."""
        if "split" not in self.capabilities:
            raise self._missing("split")
        return [Term(t.functional, OperatorAnalysis(self.operator, t.analysis)) for t in self.regularizer.split()]

    def smoothness_on(self, x: Tensor) -> float | None:
        y = x.new_zeros((1, *self.operator.range.shape), dtype=_field(x, self.operator))
        inner = self.regularizer.smoothness_on(y)
        return None if inner is None else inner * self.operator.norm() ** 2


class OperatorAnalysis(Analysis):
    """A linear operator, and an analysis of its measurements after it, as the `K` of a term: `K x = K₁ A x`."""

    def __init__(self, operator: LinearOperator, then: Analysis | None = None) -> None:
        super().__init__()
        self.operator, self.then = operator, then

    def forward(self, x: Tensor) -> Tensor:
        y = self.operator(x)
        return y if self.then is None else self.then(y)

    def adjoint(self, p: Tensor) -> Tensor:
        return self.operator.adjoint(p if self.then is None else self.then.adjoint(p))

    def norm(self, x: Tensor) -> float:
        if self.then is None:
            return self.operator.norm()
        y = x.new_zeros((1, *self.operator.range.shape), dtype=_field(x, self.operator))
        return self.operator.norm() * self.then.norm(y)

    def solve_normal(self, rhs: Tensor, shift: float) -> Tensor | None:
        return self.operator.solve_normal(rhs, shift) if self.then is None else None


def _field(x: Tensor, operator: LinearOperator) -> torch.dtype:
    """The precision of the image in the number field of the measurements."""
    real = x.dtype.to_real()
    return real.to_complex() if operator.range.is_complex else real


def _check_orthonormal_rows(operator: LinearOperator) -> None:
    own = next((b for b in operator.buffers() if b.is_floating_point() or b.is_complex()), None)
    dtype = torch.float64 if own is None else own.dtype.to_real()
    y = operator.range.randn(1, torch.Generator().manual_seed(0), dtype)
    y = y if own is None else y.to(own.device)
    with torch.no_grad():
        defect = float(norm(operator(operator.adjoint(y)) - y) / norm(y))
    if not defect <= _ROUNDINGS * torch.finfo(dtype).eps:
        raise InputError(
            f"{type(operator).__name__} was declared to have orthonormal rows, but A A* y differs from y by "
            f"{defect:.1e} relative to it; leave orthonormal_rows out, and use pdhg or admm"
        )
