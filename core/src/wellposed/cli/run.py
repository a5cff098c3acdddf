"""`wellposed run RECIPE`: reconstruct with every solver of a recipe."""

from __future__ import annotations

from .options import Json, Out, Overrides, Overwrite, RecipeArgument


def run(
    recipe: RecipeArgument,
    settings: Overrides = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Run a recipe: reconstruct, measure, report."""
    from ..recipes import load_recipe
    from .execute import Place, execute, recipe_name

    execute(load_recipe(recipe, settings or ()), recipe_name(recipe), Place(out, overwrite), as_json)
