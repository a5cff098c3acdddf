"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file, or PLUGIN/NAME of a shipped one.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY.PATH=VALUE", help="Settings that replace the recipe's."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="The run's folder; without it, one in runs/.", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out names.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
