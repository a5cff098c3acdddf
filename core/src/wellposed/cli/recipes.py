"""`wellposed recipes`: the recipes that plugins ship."""

from __future__ import annotations

import textwrap
from shutil import get_terminal_size

import typer

from .options import Json
from .output import Styled, print_json, say


def recipes(as_json: Json = False) -> None:
    """List the recipes that plugins ship; `run` takes their names."""
    from ..recipes.find import all_recipes

    found = all_recipes()
    if as_json:
        print_json(
            [{"name": r.name, "distribution": r.distribution, "path": r.path, "summary": r.summary} for r in found]
        )
        return
    if not found:
        say("No installed plugin ships a recipe.")
        return
    indent = max(len(r.name) for r in found) + 2
    width = max(get_terminal_size().columns - indent, 30)
    for recipe in found:
        first, *rest = textwrap.wrap(recipe.summary, width) or [""]
        say(Styled(recipe.name.ljust(indent), typer.colors.CYAN), first)
        for line in rest:
            say(" " * indent + line)
    say(f"\nRun one with: wellposed run {found[0].name}")
