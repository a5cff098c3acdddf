"""`wellposed list`: what is installed, read from metadata and source text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json
from .output import Styled, note, print_json, say

if TYPE_CHECKING:
    from ..registry import Entry

Kind = Annotated[str | None, typer.Argument(help="One kind, such as operators or solvers.", show_default=False)]
Load = Annotated[bool, typer.Option("--load", help="Import every component, to find what metadata does not tell.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a Markdown table, as in README.md.")]


def list_components(kind: Kind = None, load: Load = False, as_json: Json = False, markdown: Markdown = False) -> None:
    """List the installed components."""
    from ..registry import registry

    found = registry()
    entries = found.entries(kind)
    objects = [_object(entry, found.clashes(entry), load) for entry in entries]
    if as_json:
        print_json(objects)
    elif markdown:
        say(markdown_table(objects))
    else:
        _print(objects)
    for broken in found.broken:
        note(str(broken))


def markdown_table(objects: list[dict[str, Any]]) -> str:
    """One row for each distribution and kind, with the names of its components."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in objects:
        rows.setdefault((row["distribution"], row["kind"]), []).append(f"`{row['name']}`")
    lines = ["| plugin | kind | components |", "|---|---|---|"]
    shown = ""
    for (distribution, kind), names in sorted(rows.items(), key=lambda item: _place(item[0])):
        lines.append(f"| {'' if distribution == shown else f'`{distribution}`'} | {kind} | {', '.join(names)} |")
        shown = distribution
    return "\n".join(lines)


def _place(key: tuple[str, str]) -> tuple[bool, str, int]:
    """The core first, then plugins by name, kinds in their own order."""
    from ..registry import KINDS

    distribution, kind = key
    return distribution != "wellposed-core", distribution, list(KINDS).index(kind)


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


def _print(objects: list[dict[str, Any]]) -> None:
    """One line each, under the kind and the distributions that provide it; what is broken is said at the end."""
    from shutil import get_terminal_size

    width = get_terminal_size().columns
    indent = min(max((len(o["name"]) for o in objects), default=0), 34) + 4
    for kind in dict.fromkeys(row["kind"] for row in objects):
        rows = [row for row in objects if row["kind"] == kind]
        providers = ", ".join(dict.fromkeys(row["distribution"] for row in rows))
        shown = _cropped(f"  {providers}", width - len(kind))
        say(Styled(kind.upper(), bold=True), Styled(shown, dim=True))
        for row in rows:
            name = f"  {row['name']}".ljust(indent)
            text = "cannot be used, see below" if row["error"] else _sentence(row["summary"])
            colour = typer.colors.RED if row["error"] else None
            say(Styled(name, typer.colors.CYAN), Styled(_cropped(text, width - len(name)), colour))
        say()
    broken: dict[str, list[str]] = {}
    for row in objects:
        if row["error"]:
            provider = f"{row['distribution']} {row['version']}"
            told = provider in row["error"]
            broken.setdefault(f": {row['error']}" if told else f" of {provider}: {row['error']}", []).append(
                row["name"]
            )
    for reason, names in broken.items():
        note(f"{', '.join(names)}{reason}")


def _cropped(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 1, 0)].rstrip()}…"


def _sentence(summary: str) -> str:
    """The first sentence, without the marks of reStructuredText."""
    return summary.replace("`", "").split(". ")[0].rstrip(".")
