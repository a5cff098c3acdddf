"""Recipes: YAML files that compose registered components, and nothing else.

Every name is imported at first use: listing recipes costs neither torch nor pydantic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_MODULE_OF = {
    "Display": "model",
    "Recipe": "model",
    "RecipeEntry": "find",
    "all_recipes": "find",
    "build": "builder",
    "construct": "builder",
    "load_recipe": "load",
}

__all__ = list(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'wellposed.recipes' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


if TYPE_CHECKING:
    from .builder import build as build
    from .builder import construct as construct
    from .find import RecipeEntry as RecipeEntry
    from .find import all_recipes as all_recipes
    from .load import load_recipe as load_recipe
    from .model import Display as Display
    from .model import Recipe as Recipe
