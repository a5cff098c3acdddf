"""The commands. Each is one module beside this one, imported when it is called or when all are asked for."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from .. import __version__
from .output import say

START, LOOK, WORK, EXTEND = "Reconstruct", "Look around", "Measure and train", "Extend"

#: Command → `module:function` (or the typer app of several), and the heading of the help that it stands under.
COMMANDS = {
    "demo": ("demo:demo", START),
    "run": ("run:run", START),
    "reconstruct": ("reconstruct:reconstruct", START),
    "list": ("list_:list_components", LOOK),
    "describe": ("describe:describe", LOOK),
    "recipes": ("recipes:recipes", LOOK),
    "weights": ("weights:weights", LOOK),
    "evaluate": ("evaluate:evaluate", WORK),
    "compare": ("compare:compare", WORK),
    "stability": ("stability:stability", WORK),
    "train": ("train:train", WORK),
    "doctor": ("doctor:doctor", EXTEND),
    "plugin": ("plugin:app", EXTEND),
}


class _Group(TyperGroup):
    """The commands above, made when needed; a name that is none of them is looked up among the plugins' hooks."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS:
            return _command(cmd_name)
        return None if cmd_name.startswith("-") else _extra_commands().get(cmd_name)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Learned inverse problems in imaging. Begin with `wellposed demo`.",
)


def _print_version(asked: bool) -> None:
    if asked:
        say(f"wellposed {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    pass


def _command(name: str) -> Any:
    target, panel = COMMANDS[name]
    module, _, attribute = target.partition(":")
    found = getattr(importlib.import_module(f".{module}", __package__), attribute)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        single.add_typer(found, name=name, rich_help_panel=panel)
        return get_group(single).commands[name]
    single.command(name, rich_help_panel=panel)(found)
    return get_command(single)


def _extra_commands() -> dict[str, Any]:
    from ..hooks import hooks

    extra = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    extra.callback()(lambda: None)
    hooks().call("register_commands", app=extra)
    return dict(get_group(extra).commands)
