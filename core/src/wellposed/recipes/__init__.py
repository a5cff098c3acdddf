"""Recipes: YAML files that compose registered components, and nothing else."""

from __future__ import annotations

from .builder import build, construct
from .find import RecipeEntry, all_recipes
from .load import load_recipe
from .model import Display, Recipe

__all__ = ["Display", "Recipe", "RecipeEntry", "all_recipes", "build", "construct", "load_recipe"]
