"""`wellposed evaluate RECIPE`: metrics over many samples."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json, Out, Overrides, Overwrite, RecipeArgument


def evaluate(
    recipe: RecipeArgument,
    settings: Overrides = None,
    samples: Annotated[int, typer.Option(min=1, help="At most so many of the dataset's samples.")] = 100,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure solvers on many samples: mean and spread."""
    from ..recipes import load_recipe
    from ..report.page import PICTURED_SAMPLES
    from .execute import Place, execute, recipe_name

    loaded = load_recipe(recipe, settings or ()).model_copy(update={"samples": samples})
    name = f"evaluate-{recipe_name(recipe)}"
    execute(loaded, name, Place(out, overwrite), as_json, PICTURED_SAMPLES)
