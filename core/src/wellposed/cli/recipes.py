"""`wellposed recipes`: the recipes that plugins ship."""

from __future__ import annotations

from .options import Json
from .output import console, print_json


def recipes(as_json: Json = False) -> None:
    """List the recipes that plugins ship; `wellposed run PLUGIN/NAME` runs one."""
    from rich.table import Table
    from rich.text import Text

    from ..recipes.find import all_recipes

    found = all_recipes()
    if as_json:
        print_json(
            [{"name": r.name, "distribution": r.distribution, "path": r.path, "summary": r.summary} for r in found]
        )
        return
    out = console()
    if not found:
        out.print("No installed plugin ships a recipe.")
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for recipe in found:
        grid.add_row(Text(recipe.name, style="cyan"), Text(recipe.summary))
    out.print(grid)
    out.print(f"\nRun one with: wellposed run {found[0].name}", markup=False)
