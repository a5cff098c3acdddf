"""One-line summaries of components, read from their source files without importing them."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path


class UnreadableTarget(Exception):
    """The module or class that an entry point names is not there; the message says what is missing."""


def summary_of(target: str) -> str:
    """First docstring line of `package.module:Class`; raises `UnreadableTarget` where there is none to read."""
    module, _, attribute = target.partition(":")
    path = module_file(module)
    quick = _quick_docstring(_text(path), attribute)
    if quick is not None:
        return first_line(quick)
    docs = _docstrings(path)
    if attribute not in docs:
        raise UnreadableTarget(f"{module} defines no {attribute}")
    return docs[attribute]


def module_file(module: str) -> Path:
    """The source file of a module; of its package only the top level is looked up, nothing is imported."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise UnreadableTarget(f"no module named {top} ({error})") from error
    if spec is None:
        raise UnreadableTarget(f"no module named {top}")
    if not spec.submodule_search_locations:
        if rest or spec.origin is None:
            raise UnreadableTarget(f"{top} is not a package")
        return Path(spec.origin)
    for location in spec.submodule_search_locations:
        base = Path(location).joinpath(*rest)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    raise UnreadableTarget(f"no module named {module}")


def _quick_docstring(text: str, name: str) -> str | None:
    """The docstring of an ordinary class, by its looks: parsing every file would cost most of a listing's time."""
    match = re.search(_CLASS.format(name=re.escape(name)), text, re.MULTILINE | re.DOTALL)
    return match[1] if match and "\\" not in match[1] else None


#: `class Name(Bases):`, then a docstring in three quotes.
_CLASS = r'^class {name}(?:\([^()]*\))?:[^\S\n]*\n[^\S\n]+[rR]?"""(.*?)"""'


@cache
def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UnreadableTarget(f"{path.name} cannot be read: {error}") from error


@cache
def _docstrings(path: Path) -> dict[str, str]:
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError) as error:
        raise UnreadableTarget(f"{path.name} cannot be read: {error}") from error
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = first_line(ast.get_docstring(node))
        elif isinstance(node, ast.ImportFrom):
            found.update({alias.asname or alias.name: "" for alias in node.names})
        elif isinstance(node, ast.Assign):
            found.update({t.id: "" for t in node.targets if isinstance(t, ast.Name)})
    return found


def first_line(doc: str | None) -> str:
    """The first paragraph of a docstring as one line."""
    return " ".join((doc or "").strip().split("\n\n")[0].split())
