"""`wellposed plugin`: begin a plugin, and check one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json
from .output import console, print_json, table

if TYPE_CHECKING:
    from ..testing import Result

app = typer.Typer(no_args_is_help=True, help="Begin a plugin, and check one.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The distribution's name, such as my-tomography.")],
    kind: Annotated[
        str, typer.Option(help="The kind of its first component, such as operator or solver.")
    ] = "operator",
    folder: Annotated[Path, typer.Option(help="Where the plugin's folder is made.")] = Path(),
) -> None:
    """Write a small working plugin: package, entry point, tests."""
    from ..registry import registry
    from ..scaffold import new_plugin

    made = new_plugin(name, registry().check_kind(kind), folder)
    out = console()
    out.print(f"{made} is ready. Next:", markup=False, soft_wrap=True)
    out.print(f"  pip install -e {made}\n  wellposed plugin check {made.name}", markup=False, soft_wrap=True)


@app.command()
def check(
    distribution: Annotated[str, typer.Argument(help="An installed distribution.")],
    as_json: Json = False,
) -> None:
    """Check every component of an installed plugin with the conformance kit; exits with 1 where one fails."""
    from ..testing import check_distribution

    results = check_distribution(distribution)
    if as_json:
        print_json({"results": [vars(result) for result in results]})
    else:
        _print(results)
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def _print(results: list[Result]) -> None:
    from rich.text import Text

    made = table("component", "kind", "passed", "skipped", "failed", right=("passed", "skipped", "failed"))
    for kind, component in dict.fromkeys((r.kind, r.component) for r in results):
        count = Counter(r.outcome for r in results if (r.kind, r.component) == (kind, component))
        failed = Text(str(count["failed"]), style="bold red" if count["failed"] else "")
        made.add_row(Text(component), Text(kind), str(count["passed"]), str(count["skipped"]), failed)
    out = console()
    out.print(made)
    for result in results:
        if result.outcome in ("failed", "warned"):
            word = "warning: " if result.ok else ""
            out.print(f"{word}{result.component}: {result.check}: {result.message}", markup=False, soft_wrap=True)
    if all(result.ok for result in results):
        out.print("All checks passed." if all(r.outcome != "warned" for r in results) else "No check failed.")
