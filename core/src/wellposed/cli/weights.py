"""`wellposed weights`: the trained weights that plugins ship."""

from __future__ import annotations

import textwrap
from shutil import get_terminal_size
from typing import Any

import typer

from .options import Json
from .output import Styled, print_json, say


def weights(as_json: Json = False) -> None:
    """List the trained weights that plugins ship, with what made them and what they reach."""
    from ..registry.weights import all_weights

    found = [_object(entry) for entry in all_weights().values()]
    if as_json:
        print_json(found)
        return
    if not found:
        say("No installed plugin ships weights.")
        return
    width = max(get_terminal_size().columns, 40)
    for row in found:
        provider = f"  {row['distribution']}"[: width - len(row["name"])]
        say(Styled(row["name"], typer.colors.CYAN), Styled(provider, dim=True))
        for key in sorted(row["provenance"], key=_place):
            value = row["provenance"][key]
            say(textwrap.fill(f"{key}: {value}", width, initial_indent="  ", subsequent_indent="    "))
    say(f"\nUse them in a recipe, with the settings they were trained with: weights: {found[0]['name']}")


def _place(key: str) -> tuple[int, str]:
    """What the weights reach comes first; a safetensors file keeps no order."""
    first = ("error", "figure", "recipe", "seed", "licence")
    return (first.index(key) if key in first else len(first)), key


def _object(entry: Any) -> dict[str, Any]:
    from ..errors import InputError

    try:
        provenance, error = entry.provenance(), None
    except InputError as broken:
        provenance, error = {"error": str(broken)}, str(broken)
    path = str(entry.path)
    return {
        "name": entry.name,
        "distribution": entry.distribution,
        "path": path,
        "provenance": provenance,
        "error": error,
    }
