"""What direct solvers ask of an operator, and the sentences for operators that lack it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from wellposed import CompositionError, LinearOperator, Operator, Problem
from wellposed.errors import PluginError
from wellposed.registry import registry
from wellposed.solver import DirectSolver


class LinearSolver(DirectSolver):
    """A direct solver for linear operators; a subclass writes `reconstruct`."""

    def check(self, problem: Problem) -> None:
        self.linear(problem.operator)

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        linear = self.linear(operator)
        linear.check_range(y)
        return self.reconstruct(y, linear)

    def reconstruct(self, y: Tensor, operator: LinearOperator) -> Tensor:
        """The images of measurements `y` that are known to lie in the operator's range."""
        raise NotImplementedError

    def linear(self, operator: Operator) -> LinearOperator:
        """The operator; raises `CompositionError` where it is not linear."""
        if isinstance(operator, LinearOperator):
            return operator
        raise CompositionError(
            f"{type(self).__name__} needs a linear operator; {type(operator).__name__} is not linear. Iterations that "
            f"work with its derivative: gradient-descent, landweber, proximal-gradient, fista"
        )

    def method_of(self, operator: LinearOperator, name: str) -> Callable[..., Tensor]:
        """A direct inversion that only some operators have; raises `CompositionError` with their names."""
        method: Any = getattr(operator, name, None)
        if method is not None:
            return method
        having = ", ".join(_operators_with(name)) or "none that is installed"
        raise CompositionError(
            f"{type(self).__name__} needs an operator with {name}(); {type(operator).__name__} has none. "
            f"Operators that have it: {having}. pseudo-inverse works with every linear operator"
        )


def _operators_with(method: str) -> list[str]:
    names = []
    for entry in registry().entries("operators"):
        try:
            if callable(getattr(entry.load(), method, None)):
                names.append(entry.name)
        except PluginError:
            continue
    return sorted(names)
