"""Small problems with known solutions, on which iterations and solvers are checked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import PluginError, WellposedError
from ..operator import Operator
from ..problem import Problem
from ..recipes.builder import construct
from ..registry import registry
from ..regularizer import Regularizer, Zero
from ..solver import Solver
from .doubles import DenseOperator, QuadraticFidelity, QuadraticRegularizer, SaturatingOperator
from .measure import generator, lopsided
from .promise import NotPromised

_SHAPE = (1, 4, 4)
_ROWS = 20


@dataclass(frozen=True)
class Posed:
    """A problem and its exact solution."""

    problem: Problem
    solution: Tensor


def matrix() -> Tensor:
    """A 20 × 16 system as in tomography: nonnegative, of full column rank, condition number 3."""
    columns = _SHAPE[1] * _SHAPE[2]
    rows = 0.15 * torch.rand(_ROWS, columns, generator=generator(1), dtype=torch.float64)
    rows[:columns] += torch.eye(columns, dtype=torch.float64)
    return rows


def least_squares(regularizer: Regularizer | None = None, *, consistent: bool = False, batch: int = 3) -> Posed:
    """`min ½‖Mx − y‖² + R(x)` with `R` zero or quadratic, and its solution in closed form.

    `consistent`: `y = Mx` exactly for a nonnegative image; otherwise with noise of a tenth of its size.
    """
    regularizer = Zero() if regularizer is None else regularizer
    operator = DenseOperator.from_tensor(matrix(), _SHAPE)
    truth = torch.rand((batch, *_SHAPE), generator=generator(2), dtype=torch.float64)
    y = operator(truth)
    if not consistent:
        y = y + 0.1 * torch.randn(y.shape, generator=generator(3), dtype=torch.float64)
    weight = regularizer.factor if isinstance(regularizer, QuadraticRegularizer) else 0.0
    normal = operator.matrix.T @ operator.matrix + weight * torch.eye(truth[0].numel(), dtype=torch.float64)
    solution = torch.linalg.solve(normal, operator.adjoint(y).flatten(1).T).T.reshape(truth.shape)
    return Posed(Problem(operator, y, QuadraticFidelity(), regularizer), solution)


def nonlinear_least_squares(regularizer: Regularizer, batch: int = 3) -> Problem:
    """`min ½‖A(x) − y‖² + R(x)` with a mildly nonlinear operator."""
    operator = SaturatingOperator(matrix().tolist(), _SHAPE)
    truth = torch.rand((batch, *_SHAPE), generator=generator(2), dtype=torch.float64)
    return Problem(operator, operator(truth), QuadraticFidelity(), regularizer)


def image_problem(solver: Solver, batch: int = 3) -> tuple[Operator, Tensor]:
    """An operator that `solver` accepts, in float64, with measurements of smooth images.

    A dense one on 16 × 16 images if the solver takes it, else the examples of the registered operators
    in turn. Raises `NotPromised` with the solver's own words where it takes none of them.
    """
    reasons: list[str] = []
    for operator in _operators():
        y = operator(lopsided(operator.domain, batch)).detach()
        try:
            with torch.no_grad():
                solver(y, operator)
        except WellposedError as error:
            reasons.append(str(error))
            continue
        return operator, y
    raise NotPromised(f"it accepts no operator that is registered: {reasons[0]}")


def _operators():
    yield _dense_image_operator()
    for entry in registry().entries("operators"):
        try:
            for example in entry.load().examples():
                yield construct(entry.load(), example).to(torch.float64)
        except (PluginError, WellposedError):
            continue


def _dense_image_operator() -> DenseOperator:
    """A smoothing, nonnegative, invertible map of 16 × 16 images: the identity plus a short-range blur."""
    size = 16
    place = torch.arange(size, dtype=torch.float64)
    line = torch.exp(-0.5 * (place[:, None] - place[None, :]).square())
    blur = torch.kron(line, line)
    rows = 0.5 * torch.eye(size * size, dtype=torch.float64) + 0.5 * blur / blur.sum(1, keepdim=True)
    return DenseOperator.from_tensor(rows, (1, size, size))
