"""`wellposed compare RECIPE RECIPE …`: several recipes' solvers on one problem set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json, Out, Overwrite

if TYPE_CHECKING:
    from ..recipes import Recipe


def compare(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="The first one sets the problem.")],
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Replace a setting of the first recipe."),
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="How many samples; else as the first recipe.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Compare the solvers of several recipes.

    All of them work on the data, operator and noise of the first recipe.
    """
    from ..recipes import load_recipe
    from .execute import Place, execute, recipe_name

    names = [recipe_name(source) for source in recipes]
    loaded = [load_recipe(source, (setting or ()) if i == 0 else ()) for i, source in enumerate(recipes)]
    solvers = merged_solvers(list(zip(names, loaded, strict=True)))
    update: dict[str, Any] = {"solvers": solvers, "summary": f"Comparison of {' and '.join(names)}"}
    if samples is not None:
        update["samples"] = samples
    execute(loaded[0].model_copy(update=update), "compare", Place(out, overwrite), as_json)


def merged_solvers(recipes: list[tuple[str, Recipe]]) -> dict[str, Any]:
    """All solvers under their labels; a label used before gets its recipe's name, or a number, behind it."""
    merged: dict[str, Any] = {}
    for name, recipe in recipes:
        for label, node in recipe.solvers.items():
            merged[free_label(label, name, merged)] = node
    return merged


def free_label(label: str, name: str, taken: dict[str, Any]) -> str:
    """`label`, with `name` or a number behind it where it is taken."""
    candidate, number = label, 2
    while candidate in taken:
        candidate = f"{label} ({name})" if number == 2 else f"{label} ({name}, {number - 1})"
        number += 1
    return candidate
