"""Reading recipes from files, with overrides from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from ..errors import RecipeError
from .find import find_recipe
from .model import Recipe, parse
from .words import nearest

_SIZE_LIMIT = 1_000_000


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a YAML file, or by the name `PLUGIN/NAME` of one that a plugin ships.

    `overrides` are texts `key.path=value`, the value in YAML. Raises `RecipeError`.
    """
    path = find_recipe(str(source))
    document = _read_yaml(path)
    labels = _labels(document)
    for text in overrides:
        override(document, text)
    _refuse_new_labels(document, labels)
    return parse(document, path.name)


def _labels(document: Any) -> list[str]:
    solvers = document.get("solvers") if isinstance(document, dict) else None
    return list(map(str, solvers)) if isinstance(solvers, dict) else []


def _refuse_new_labels(document: Any, labels: list[str]) -> None:
    """An override below a label that the recipe does not have is a slip, unless it brings a whole solver."""
    for label in _labels(document):
        node = document["solvers"][label] if label not in labels and labels else None
        if isinstance(node, dict) and "use" not in node:
            raise RecipeError(f"the recipe has no solver {label!r}{nearest(label, labels)}", f"solvers.{label}")


def override(document: Any, text: str) -> None:
    """Set `key.path=value` inside plain data, creating mappings on the way."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise RecipeError(f"an override is written key.path=value; {text!r} was given")
    *parents, last = path.strip().split(".")
    node = document
    for part in parents:
        node = _descend(node, part, path)
    parsed = parse_value(value, path)
    if isinstance(node, list):
        node[_position(node, last, path)] = parsed
    elif isinstance(node, dict):
        node[last] = parsed
    else:
        raise RecipeError(f"{path!r} leads into a plain value, not into a mapping", "override")


def parse_value(text: str, where: str = "") -> Any:
    """A value as YAML writes it."""
    try:
        return yaml.load(text, Loader=RecipeLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{text!r} is not valid YAML: {_yaml_reason(error)}", where) from None


def _descend(node: Any, part: str, path: str) -> Any:
    if isinstance(node, list):
        return node[_position(node, part, path)]
    if not isinstance(node, dict):
        raise RecipeError(f"{path!r} leads into a plain value at {part!r}", "override")
    child = node.get(part)
    if isinstance(child, str):  # the shorthand "name" of {use: name}: open it, so that arguments can be set
        child = {"use": child}
    node[part] = {} if child is None else child
    return node[part]


def _position(node: list, part: str, path: str) -> int:
    if not part.lstrip("-").isdigit() or not -len(node) <= int(part) < len(node):
        raise RecipeError(f"{path!r}: {part!r} is no position in a list of {len(node)}", "override")
    return int(part)


def _read_yaml(path: Path) -> Any:
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise RecipeError("the file is larger than 1 MB; a recipe is a short text", str(path))
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"the file is not UTF-8 text (byte {error.start}); save it as UTF-8", str(path)) from None
    except OSError as error:
        raise RecipeError(f"the file cannot be read: {error.strerror or error}", str(path)) from None
    if not text.strip():
        raise RecipeError("the file is empty", str(path))
    try:
        return yaml.load(text, Loader=RecipeLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"not valid YAML: {_yaml_reason(error)}", str(path)) from None
    except RecursionError:
        raise RecipeError("nested too deeply to be a recipe", str(path)) from None
    except ValueError as error:  # dates and numbers that YAML recognises and Python refuses
        raise RecipeError(f"not valid YAML: {error}", str(path)) from None


class RecipeLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads `1e-3` as the number it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise ConstructorError(None, None, "a key must be text", key_node.start_mark)
            if key in seen:
                raise ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise ComposerError(None, None, "aliases (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)


#: `1e-3` is text in YAML 1.1, which the reader implements, and a number for everybody who writes recipes.
_EXPONENT = re.compile(r"^[-+]?(?:\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$")
RecipeLoader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789."))


def _yaml_reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        reason = error.problem or error.context or "unreadable"
        mark = error.problem_mark
        return f"{reason} (line {mark.line + 1}, column {mark.column + 1})" if mark else reason
    return " ".join(str(error).split())
