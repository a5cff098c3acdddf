"""`wellposed describe KIND NAME`, or the name alone: everything about one component."""

from __future__ import annotations

import inspect
import textwrap
from typing import Annotated, Any

import typer

from .options import Json
from .output import console, print_json


def describe(
    kind: Annotated[str, typer.Argument(help="The kind (operator, regularizer, solver, …), or the name alone.")],
    name: Annotated[str | None, typer.Argument(help="The name, or NAME@DISTRIBUTION.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show everything about one component.

    Its arguments, documentation, source and provider, and an example for a recipe.
    """
    from ..registry import registry

    entry = registry().find_alone(kind) if name is None else registry().find(kind, name)
    cls = entry.load()
    facts = {
        "name": entry.name,
        "kind": entry.kind,
        "distribution": entry.distribution,
        "version": entry.version,
        "target": entry.target,
        "source": cls.source,
        "doc": inspect.getdoc(cls) or "",
        "arguments": arguments_of(cls),
        "example": example_of(entry.name, cls),
    }
    if as_json:
        print_json(facts)
    else:
        _print(facts)


def arguments_of(cls: type) -> list[dict[str, Any]]:
    """The constructor's arguments with types as written and defaults; `required` where there is none."""
    from ..recipes.builder import constructor_parameters

    found = []
    for name, parameter in constructor_parameters(cls).items():
        annotation = parameter.annotation
        written = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        required = parameter.default is inspect.Parameter.empty
        argument: dict[str, Any] = {"name": name, "type": "" if annotation is parameter.empty else written}
        argument |= {"required": required, "default": None if required else _plain(parameter.default)}
        found.append(argument)
    return found


def example_of(name: str, cls: type) -> Any:
    """A node that a recipe can hold: the bare name where that suffices, else the component's first example."""
    if not any(argument["required"] for argument in arguments_of(cls)):
        return name
    example = next(iter(getattr(cls, "examples", lambda: ())()), None)
    return {"use": name, **example} if example else name


def reflowed(doc: str, width: int) -> str:
    """The docstring broken anew at `width`; the lines of lists hang under their beginnings."""
    return "\n\n".join("\n".join(_paragraph(text.splitlines(), width)) for text in doc.split("\n\n"))


def _paragraph(lines: list[str], width: int) -> list[str]:
    """One paragraph: running text, a list with bullets, or a heading over indented entries."""
    indents = [len(line) - len(line.lstrip()) for line in lines]
    bulleted = any(line.lstrip().startswith(("- ", "* ")) for line in lines)
    entries = min((indent for indent in indents if indent), default=None)
    items: list[tuple[int, str]] = []
    for indent, line in zip(indents, lines, strict=True):
        text = line.strip()
        begins = text.startswith(("- ", "* ")) if bulleted else entries is not None and indent <= entries
        if begins or not items:
            items.append((indent, text))
        else:
            items[-1] = (items[-1][0], f"{items[-1][1]} {text}")
    hang = "" if entries is None and not bulleted else "    "
    return [
        textwrap.fill(text, width, initial_indent=" " * indent, subsequent_indent=" " * indent + hang)
        for indent, text in items
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) or value is None else repr(value)


def _print(facts: dict[str, Any]) -> None:
    import yaml
    from rich.text import Text

    out = console()
    out.print(Text(facts["name"], "bold cyan").append(f"  {facts['kind']}", "dim"))
    out.print(f"{facts['target']}, from {facts['distribution']} {facts['version']}", style="dim", markup=False)
    out.print()
    out.print(reflowed(facts["doc"], out.width), markup=False)
    out.print()
    if facts["arguments"]:
        out.print("ARGUMENTS", style="bold")
        out.print(_argument_table(facts["arguments"]))
        out.print()
    out.print("SOURCE", style="bold")
    out.print(f"  {facts['source'] or 'none is given'}", markup=False)
    out.print()
    out.print("IN A RECIPE", style="bold")
    text = yaml.safe_dump(facts["example"], sort_keys=False, allow_unicode=True, default_flow_style=False)
    for line in text.removesuffix("...\n").splitlines():
        out.print(f"  {line}", markup=False)


def _argument_table(arguments: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold", min_width=10)
    for argument in arguments:
        default = Text("required", "bold") if argument["required"] else Text(f"= {_yaml(argument['default'])}")
        grid.add_row(Text(f"  {argument['name']}", "cyan"), Text(argument["type"]), default)
    return grid


def _yaml(value: Any) -> str:
    import json

    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
