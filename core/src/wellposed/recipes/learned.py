"""Learned constructor arguments, written back into the recipe that they were learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..regularizer import Sum, Weighted
from .load import override
from .model import Recipe, parse


def with_arguments(recipe: Recipe, target: str, built: Any, arguments: Mapping[str, float]) -> Recipe:
    """`recipe` with constructor arguments of its `target` (`SOLVER`, or a part of one) set.

    `built` is what the target was built into, `arguments` are by attribute path in it (`regularizer.weight`).
    """
    document = recipe.document()
    for path, value in arguments.items():
        override(document, f"solvers.{target}.{recipe_path(built, path)}={value!r}")
    return parse(document, "the learned recipe")


def recipe_path(built: Any, path: str) -> str:
    """The path in a recipe's node of what lies at the attribute `path` of what the node was built into.

    The builder puts in between what a recipe does not write: the `terms` of a list of regularizers, and the
    `regularizer` before which a `weight` stands.
    """
    steps = []
    for name in path.split("."):
        unwritten = (isinstance(built, Sum) and name == "terms") or (isinstance(built, Weighted) and name != "weight")
        built = built[int(name)] if isinstance(built, nn.ModuleList) else getattr(built, name)
        if not unwritten:
            steps.append(name)
    return ".".join(steps)
