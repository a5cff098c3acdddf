"""The commands, put together. Each module beside this one is one command and imports lightly."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from .. import __version__
from . import (
    compare,
    demo,
    describe,
    doctor,
    evaluate,
    list_,
    plugin,
    recipes,
    reconstruct,
    run,
    stability,
    train,
)

START, LOOK, WORK, EXTEND = "Reconstruct", "Look around", "Measure and train", "Extend"


class _Group(TyperGroup):
    """The built-in commands, in their order; a name that is none of them is looked up among the plugins' hooks."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        return found if found is not None else _extra_commands().get(cmd_name)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Learned inverse problems in imaging. `wellposed demo` reconstructs a first image.",
)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    if version:
        typer.echo(f"wellposed {__version__}")
        raise typer.Exit


for _name, _function, _panel in (
    ("demo", demo.demo, START),
    ("run", run.run, START),
    ("reconstruct", reconstruct.reconstruct, START),
    ("list", list_.list_components, LOOK),
    ("describe", describe.describe, LOOK),
    ("recipes", recipes.recipes, LOOK),
    ("evaluate", evaluate.evaluate, WORK),
    ("compare", compare.compare, WORK),
    ("stability", stability.stability, WORK),
    ("train", train.train, WORK),
    ("doctor", doctor.doctor, EXTEND),
):
    app.command(_name, rich_help_panel=_panel)(_function)
app.add_typer(plugin.app, name="plugin", rich_help_panel=EXTEND)


def _extra_commands() -> dict[str, Any]:
    from ..hooks import hooks

    extra = typer.Typer()
    extra.callback()(lambda: None)
    hooks().call("register_commands", app=extra)
    return dict(get_group(extra).commands)
