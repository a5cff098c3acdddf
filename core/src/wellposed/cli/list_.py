"""`wellposed list`: what is installed, read from metadata and source text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json
from .output import console, note, print_json

if TYPE_CHECKING:
    from ..registry import Entry

Kind = Annotated[str | None, typer.Argument(help="One kind, such as operators or solvers.", show_default=False)]
Load = Annotated[bool, typer.Option("--load", help="Import every component, to find what metadata does not tell.")]


def list_components(kind: Kind = None, load: Load = False, as_json: Json = False) -> None:
    """List the installed components; imports none of them."""
    from ..registry import registry

    found = registry()
    entries = found.entries(kind)
    objects = [_object(entry, found.clashes(entry), load) for entry in entries]
    if as_json:
        print_json(objects)
        return
    _print(entries, objects)


def _object(entry: Entry, clashes: bool, load: bool) -> dict[str, Any]:
    return {
        "name": entry.full_name if clashes else entry.name,
        "kind": entry.kind,
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": entry.summary,
        "error": _error(entry, load),
    }


def _error(entry: Entry, load: bool) -> str | None:
    from ..errors import PluginError

    if not load or entry.error:
        return entry.error
    try:
        entry.load()
    except PluginError as error:
        return str(error)
    return None


def _print(entries: list[Entry], objects: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    width = min(max((len(o["name"]) for o in objects), default=0), 34)
    for kind in dict.fromkeys(entry.kind for entry in entries):
        rows = [o for o in objects if o["kind"] == kind]
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=width, no_wrap=True, overflow="fold")
        grid.add_column(no_wrap=True, overflow="ellipsis")
        for row in rows:
            text = Text("cannot be used, see below", "red") if row["error"] else Text(_sentence(row["summary"]))
            grid.add_row(Text("  " + row["name"], style="cyan"), text)
        out.print(Text(f"{kind.upper()}  ", "bold").append(_provided_by(rows), "dim"))
        out.print(grid)
        out.print()
    for row in objects:
        if row["error"]:
            note(f"{row['name']} of {row['distribution']} {row['version']}: {row['error']}")


def _provided_by(rows: list[dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(row["distribution"] for row in rows))


def _sentence(summary: str) -> str:
    """The first sentence, without the marks of reStructuredText."""
    return summary.replace("`", "").split(". ")[0].rstrip(".")
