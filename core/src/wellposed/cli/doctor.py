"""`wellposed doctor`: everything that is installed, tried out, each part alone."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from typing import Any

import typer

from .options import Json
from .output import console, print_json, table
from .probe import Answer, Task, probe


@dataclass
class Checkup:
    """One distribution: how many of its parts work, and what is wrong with the rest."""

    distribution: str
    version: str
    parts: int = 0
    working: int = 0
    problems: list[str] = field(default_factory=list)


def doctor(as_json: Json = False) -> None:
    """Try everything that is installed; say what is broken.

    Imports every component and hook and reads every recipe, each alone, and says what mends it.
    Exits with 0 where all is well, else with 1.
    """
    tasks = all_tasks()
    answers = probe(tasks)
    checkups = examine(tasks, answers)
    clashes = all_clashes()
    torch = answers[0]
    ok = not clashes and torch["error"] is None and not any(c.problems for c in checkups)
    if as_json:
        document = {"ok": ok, "python": platform.python_version(), "torch": torch, "clashes": clashes}
        print_json({**document, "hooks": _hooks_of(tasks, answers), "distributions": [asdict(c) for c in checkups]})
    else:
        _print(checkups, clashes, torch, _hooks_of(tasks, answers))
    if not ok:
        raise typer.Exit(1)


def all_tasks() -> list[Task]:
    """Everything to be tried: torch, then components, hooks, recipes and weights, with their distributions."""
    from ..registry import HOOKS_GROUP, WEIGHTS_GROUP, plugin_entry_points, registry

    tasks: list[Task] = [{"sort": "torch", "name": "torch", "distribution": "", "version": ""}]
    for entry in registry().entries():
        place = {"kind": entry.kind, "distribution": entry.distribution, "version": entry.version}
        tasks.append({"sort": "component", "name": entry.full_name, **place})
    for sort, group in (("hooks", HOOKS_GROUP), ("weights", WEIGHTS_GROUP)):
        for point in plugin_entry_points(group):
            name, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "0")
            full = f"{name}:{point.name}" if sort == "hooks" else point.name
            tasks.append({"sort": sort, "name": full, "distribution": name, "version": version})
    return tasks + _recipe_tasks()


def _recipe_tasks() -> list[Task]:
    import importlib_metadata

    from ..recipes.find import all_recipes

    versions = {r.distribution: importlib_metadata.version(r.distribution) for r in all_recipes()}
    return [
        {
            "sort": "recipe",
            "name": r.name,
            "distribution": r.distribution,
            "version": versions[r.distribution],
        }
        for r in all_recipes()
    ]


def examine(tasks: list[Task], answers: list[Answer]) -> list[Checkup]:
    """One checkup for each distribution; a reason that several parts share is said once."""
    found: dict[str, Checkup] = {}
    for task, answer in zip(tasks, answers, strict=True):
        if task["sort"] == "torch":
            continue
        checkup = found.setdefault(task["distribution"], Checkup(task["distribution"], task["version"]))
        checkup.parts += 1
        if answer["error"] is None:
            checkup.working += 1
            continue
        text = _problem(task, answer["error"])
        if text not in checkup.problems:
            checkup.problems.append(text)
    return sorted(found.values(), key=lambda c: (c.distribution != "wellposed-core", c.distribution))


def all_clashes() -> list[str]:
    """A sentence for each name that two distributions register."""
    from ..registry import KINDS, registry

    claimed: dict[tuple[str, str], list[str]] = {}
    for entry in registry().entries():
        if registry().clashes(entry):
            claimed.setdefault((entry.kind, entry.name), []).append(entry.full_name)
    return [
        f"the {KINDS[kind].label} {name!r} is registered by {len(full)} distributions; write {' or '.join(full)}"
        for (kind, name), full in claimed.items()
    ]


def _problem(task: Task, error: str) -> str:
    """The error, with what it concerns in front unless the sentence names the distribution already."""
    if task["distribution"] in error:
        return error
    return f"{task['sort']} {task['name']}: {error}"


def _hooks_of(tasks: list[Task], answers: list[Answer]) -> list[dict[str, Any]]:
    pairs = zip(tasks, answers, strict=True)
    return [
        {"plugin": task["name"], "hooks": answer.get("hooks", []), "error": answer["error"]}
        for task, answer in pairs
        if task["sort"] == "hooks"
    ]


def _print(checkups: list[Checkup], clashes: list[str], torch: Answer, hooks: list[dict[str, Any]]) -> None:
    from rich.text import Text

    out = console()
    made = table("distribution", "version", "working", "state", right=("working",))
    for checkup in checkups:
        well = not checkup.problems
        state = Text("well" if well else _counted(checkup.problems), "green" if well else "bold red")
        made.add_row(Text(checkup.distribution), checkup.version, f"{checkup.working} of {checkup.parts}", state)
    out.print(made)
    out.print(_machine(torch), markup=False, soft_wrap=True)
    for hook in hooks:
        if hook["error"] is None:
            out.print(
                f"hooks of {hook['plugin']}: {', '.join(hook['hooks']) or 'none'}",
                markup=False,
                soft_wrap=True,
            )
    problems = [p for checkup in checkups for p in checkup.problems] + clashes
    if torch["error"] is not None:
        problems.insert(0, f"torch cannot be imported: {torch['error']}")
    if not problems:
        out.print("\nAll is well.")
        return
    out.print(f"\n{_counted(problems)}:", style="bold")
    for text in problems:
        out.print(f"• {text}", markup=False, soft_wrap=True)
    out.print(
        "\nA plugin that cannot be mended is left out with pip uninstall NAME, or for one command by the "
        "environment variable WELLPOSED_DISABLE=NAME.",
        style="dim",
    )


def _counted(problems: list[str]) -> str:
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"


def _machine(torch: Answer) -> str:
    if torch["error"] is not None:
        return f"Python {platform.python_version()}"
    devices = ", ".join(torch["devices"]) or "no CUDA device"
    cuda = f"CUDA {torch['cuda']}" if torch["cuda"] else "a build without CUDA"
    return (
        f"Python {platform.python_version()}, torch {torch['version']} ({cuda}, {devices}), "
        f"{torch['threads']} thread{'s' if torch['threads'] > 1 else ''}"
    )
