"""What direct solvers ask of an operator."""

from __future__ import annotations

from wellposed import CompositionError, LinearOperator, Operator


def linear(solver: object, operator: Operator) -> LinearOperator:
    """The operator, if it is linear; raises `CompositionError` otherwise."""
    if not isinstance(operator, LinearOperator):
        raise CompositionError(
            f"{type(solver).__name__} inverts linear operators; {type(operator).__name__} is not linear. "
            f"Iterations that need its derivative alone: gradient-descent, proximal-gradient, fista"
        )
    return operator


def missing_method(solver: object, operator: Operator, method: str, having: str) -> CompositionError:
    """The refusal of an operator without the method that a solver calls."""
    return CompositionError(
        f"{type(solver).__name__} needs an operator with {method}; {type(operator).__name__} has none. "
        f"Operators that have it: {having}"
    )
