"""Constraints of methods that regularize by stopping early and take no other regularizer."""

from __future__ import annotations

from wellposed import CompositionError, Iteration, Regularizer
from wellposed.regularizer import Weighted, Zero

from ..regularizers.box import Box


def constraint_of(iteration: Iteration, regularizer: Regularizer) -> Regularizer | None:
    """The bounds on the image that a regularizer states, or `None` for no regularizer.

    Raises `CompositionError` for every other one.
    """
    if isinstance(regularizer, Zero):
        return None
    bare = regularizer.regularizer if isinstance(regularizer, Weighted) else regularizer
    if isinstance(bare, Box):
        return bare
    raise CompositionError(
        f"{type(iteration).__name__} regularizes by being stopped early and takes no regularizer but bounds on the "
        f"image (nonnegativity, box); {type(bare).__name__} was given"
    )
