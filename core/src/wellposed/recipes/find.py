"""Recipes that installed distributions ship, found without importing any of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import RecipeError
from ..registry import RECIPES_GROUP, PluginPoint, plugin_entry_points
from ..registry.summary import UnreadableTarget, module_file
from .words import nearest


@dataclass(frozen=True)
class RecipeEntry:
    """One shipped recipe; `name` is `PLUGIN/NAME`."""

    name: str
    path: Path
    distribution: str

    @property
    def summary(self) -> str:
        """The recipe's `summary`, or what is wrong with the file."""
        try:
            document = yaml.safe_load(self.path.read_text(encoding="utf-8"))
            return " ".join(str(document["summary"]).split())
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            return f"unreadable: {' '.join(str(error).split())}"


def all_recipes() -> list[RecipeEntry]:
    """Every `*.yaml` in the folders that the group `wellposed.recipes` names, sorted by name.

    An entry point `physics = "wellposed_physics:recipes"` names the folder `recipes` of that package.
    """
    found = []
    for point in plugin_entry_points(RECIPES_GROUP):
        try:
            found += shipped_by(point)
        except UnreadableTarget:
            continue
    return sorted(found, key=lambda entry: entry.name)


def shipped_by(point: PluginPoint) -> list[RecipeEntry]:
    """The recipes of one entry point; raises `UnreadableTarget` where the package, the folder or all of them lack."""
    package, _, folder = point.value.partition(":")
    base = module_file(package).parent / folder
    if not base.is_dir():
        raise UnreadableTarget(f"{package} has no folder {folder!r}")
    found = [RecipeEntry(f"{point.name}/{p.stem}", p, point.distribution) for p in base.glob("*.yaml")]
    if not found:
        raise UnreadableTarget(f"the folder {folder!r} of {package} holds no recipe (*.yaml)")
    return found


def find_recipe(source: str) -> Path:
    """The file of a recipe given as a path or as `PLUGIN/NAME`; raises `RecipeError`."""
    path = Path(source)
    if path.is_dir():
        raise RecipeError("a folder was given; name a YAML file", source)
    if path.exists():
        return path
    shipped = {entry.name: entry.path for entry in all_recipes()}
    if source in shipped:
        return shipped[source]
    if path.suffix in (".yaml", ".yml"):
        raise RecipeError("there is no such file", source)
    raise RecipeError(f"there is no recipe {source!r}{nearest(source, shipped)}")
