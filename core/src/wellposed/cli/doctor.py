"""`wellposed doctor`: everything that is installed, tried out, each part alone."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from ..registry import HOOKS_GROUP, KINDS, RECIPES_GROUP, WEIGHTS_GROUP
from .options import Json
from .output import console, print_json, table
from .probe import Answer, Task, probe

if TYPE_CHECKING:
    from rich.text import Text

    from ..registry import Installed, PluginPoint


@dataclass
class Checkup:
    """One distribution: how many of its parts work, what is wrong with the rest, and what some of them lack."""

    distribution: str
    version: str
    parts: int = 0
    working: int = 0
    problems: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


def doctor(as_json: Json = False) -> None:
    """Try everything that is installed; say what is broken.

    Imports every component and hook and reads every recipe, each alone, and says what mends it.
    Exits with 0 where all is well, else with 1: also where a component lacks an optional package.
    """
    from ..registry import read_installed

    installed = read_installed()
    tasks = all_tasks(installed)
    answers = probe(tasks[:1])
    if answers[0]["error"] is None:
        answers += probe(tasks[1:])
    else:  # without torch nothing else can be tried
        tasks = tasks[:1]
    checkups = examine(tasks, answers)
    _add_strangers(installed, checkups)
    broken = [str(each) for each in installed.broken]
    clashes = all_clashes()
    torch = answers[0]
    ok = torch["error"] is None and not (broken or clashes or any(c.problems or c.lacking for c in checkups))
    if as_json:
        document = {"ok": ok, "python": platform.python_version(), "torch": torch, "clashes": clashes}
        document |= {"broken": broken, "hooks": _hooks_of(tasks, answers)}
        print_json({**document, "distributions": [asdict(c) for c in checkups]})
    else:
        _print(checkups, [*broken, *clashes], torch, _hooks_of(tasks, answers))
    if not ok:
        raise typer.Exit(1)


#: What is tried of each entry point, by its group; the groups of components are added to them.
_SORTS = {WEIGHTS_GROUP: "weights", HOOKS_GROUP: "hooks", RECIPES_GROUP: "recipes"}


def all_tasks(installed: Installed) -> list[Task]:
    """Everything to be tried: torch, then components, hooks, weights and recipes, with their distributions."""
    from ..recipes.find import all_recipes

    tasks: list[Task] = [{"sort": "torch", "name": "torch", "distribution": "", "version": ""}]
    for kind in KINDS.values():
        for point in installed.of(kind.group):
            name = f"{point.name}@{point.distribution}"
            tasks.append({**_task("component", name, point), "kind": kind.name})
    for group, sort in _SORTS.items():
        tasks += [_task(sort, point.full_name, point) for point in installed.of(group)]
    versions = {point.distribution: point.version for point in installed.points}
    for recipe in all_recipes():
        place = {"distribution": recipe.distribution, "version": versions[recipe.distribution]}
        tasks.append({"sort": "recipe", "name": recipe.name, **place})
    return tasks


def _task(sort: str, name: str, point: PluginPoint) -> Task:
    package = point.value.partition(":")[0].partition(".")[0]
    return {
        "sort": sort,
        "name": name,
        "distribution": point.distribution,
        "version": point.version,
        "package": package,
    }


def _add_strangers(installed: Installed, checkups: list[Checkup]) -> None:
    """Entry points of groups that nobody reads are problems of their distributions."""
    found = {checkup.distribution: checkup for checkup in checkups}
    for point, sentence in installed.strangers():
        if point.distribution not in found:
            found[point.distribution] = Checkup(point.distribution, point.version)
            checkups.append(found[point.distribution])
        found[point.distribution].parts += 1
        found[point.distribution].problems.append(f"{point.distribution}: {sentence}")


def examine(tasks: list[Task], answers: list[Answer]) -> list[Checkup]:
    """One checkup for each distribution; a reason that several parts share is said once."""
    found: dict[str, Checkup] = {}
    for task, answer in zip(tasks, answers, strict=True):
        if task["sort"] == "torch":
            continue
        checkup = found.setdefault(task["distribution"], Checkup(task["distribution"], task["version"]))
        checkup.parts += 1
        lacking = answer.get("lacking")
        if lacking:
            text = f"{task['name']} of {task['distribution']} lacks an optional package: {lacking}"
            checkup.lacking.append(text)
            continue
        if answer["error"] is None:
            checkup.working += 1
            continue
        text = _problem(task, answer["error"])
        if text not in checkup.problems:
            checkup.problems.append(text)
    return sorted(found.values(), key=lambda c: (c.distribution != "wellposed-core", c.distribution))


def all_clashes() -> list[str]:
    """A sentence for each name that two distributions register."""
    from ..registry import registry

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


def _print(checkups: list[Checkup], others: list[str], torch: Answer, hooks: list[dict[str, Any]]) -> None:
    from rich.text import Text

    out = console()
    made = table("distribution", "version", "working", "state", right=("working",))
    for checkup in checkups:
        state = _state(checkup)
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
    problems = [p for checkup in checkups for p in checkup.problems] + others
    if torch["error"] is not None:
        problems.insert(0, f"torch cannot be imported: {torch['error']}")
    lacking = [text for checkup in checkups for text in checkup.lacking]
    if not problems and not lacking:
        out.print("\nAll is well.")
        return
    if lacking:
        out.print("\nNot well for want of optional packages:", style="bold")
        for text in lacking:
            out.print(f"• {text}", markup=False, soft_wrap=True)
    if not problems:
        return
    out.print(f"\n{_counted(problems)}:", style="bold")
    for text in problems:
        out.print(f"• {text}", markup=False, soft_wrap=True)
    out.print(
        "\nA plugin that cannot be mended is left out with pip uninstall NAME, or for one command by the "
        "environment variable WELLPOSED_DISABLE=NAME.",
        style="dim",
    )


def _state(checkup: Checkup) -> Text:
    from rich.text import Text

    if checkup.problems:
        return Text(_counted(checkup.problems), "bold red")
    if checkup.lacking:
        return Text("lacks a package", "yellow")
    return Text("well", "green")


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
