"""`wellposed demo`: a first image, and every installed solver that offers itself for it.

The problem is that of the recipe `classical/demo`. A plugin joins in by shipping a recipe called `demo` that
poses the same problem (equal `data`, `operator` and `noise`): its solvers are run and shown as well. Each
such recipe also runs on its own, as `wellposed run PLUGIN/demo`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import Json, Out, Overwrite
from .output import note

if TYPE_CHECKING:
    from ..recipes import Recipe

BASE = "classical/demo"


def demo(out: Out = None, overwrite: Overwrite = False, as_json: Json = False) -> None:
    """Reconstruct a phantom from noisy CT data; a first look.

    Every installed solver that offers itself takes part. It takes about a minute.
    """
    from .execute import Place, execute

    execute(demo_recipe(), "demo", Place(out, overwrite), as_json)


def demo_recipe() -> Recipe:
    """The demo's problem with the solvers of all plugins that pose the same one."""
    from ..errors import InputError, WellposedError
    from ..recipes import all_recipes, load_recipe
    from .compare import merged_solvers

    shipped = [entry.name for entry in all_recipes() if entry.name.endswith("/demo")]
    if BASE not in shipped:
        raise InputError(
            "the demo needs simulated CT data and classical solvers; "
            "run: pip install wellposed-physics wellposed-classical"
        )
    base = load_recipe(BASE)
    taking_part = [(BASE.removesuffix("/demo"), base)]
    for name in shipped:
        if name == BASE:
            continue
        try:
            recipe = load_recipe(name)
            if _problem(recipe) == _problem(base):
                check_solvers(recipe, base)
                taking_part.append((name.removesuffix("/demo"), recipe))
        except WellposedError as error:
            note(f"{name} is left out: {error}")
    return base.model_copy(update={"solvers": merged_solvers(taking_part)})


def check_solvers(recipe: Recipe, base: Recipe) -> None:
    """Build the solvers of `recipe` and pose the demo's problem to them; raises where that fails."""
    from .execute import prepared

    prepared(base.model_copy(update={"solvers": recipe.solvers}))


def _problem(recipe: Recipe) -> tuple:
    return recipe.data, recipe.operator, recipe.noise
