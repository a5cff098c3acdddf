"""Scaffold: a new plugin from a template, with a working component of any kind and its conformance test."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import InputError
from ..files.atomic import write_text
from ..registry import KINDS, Kind, Registry

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["PluginNames", "new_plugin"]

_PREFIX = "wellposed-"


@dataclass(frozen=True)
class PluginNames:
    """What one plugin is called where: `wellposed-soft-edges` provides `soft-edges`, the class `SoftEdges`."""

    distribution: str

    @property
    def package(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def component(self) -> str:
        return self.distribution.removeprefix(_PREFIX)

    @property
    def module(self) -> str:
        return self.component.replace("-", "_")

    @property
    def cls(self) -> str:
        return "".join(word.capitalize() for word in self.component.split("-"))

    @classmethod
    def parse(cls, name: str) -> PluginNames:
        """The names that follow from what the user wrote; raises `InputError` for one that cannot be a package."""
        names = cls(re.sub(r"[-_.\s]+", "-", name.strip()).strip("-").lower())
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", names.component):
            raise InputError(
                f"a plugin's name is made of letters, digits and hyphens and starts with a letter, "
                f"as in soft-edges; {name!r} was given"
            )
        for identifier in (names.package, names.module):
            if keyword.iskeyword(identifier) or identifier in sys.stdlib_module_names:
                raise InputError(f"{name!r} cannot name a plugin: {identifier} means something in Python already")
        if names.component == _PREFIX.rstrip("-") or importlib.util.find_spec(names.package) is not None:
            raise InputError(f"{name!r} is taken: a package {names.package} is installed here; choose another name")
        return names


def new_plugin(name: str, kind: str, folder: str | Path = ".") -> Path:
    """Write a plugin into a new directory of `folder`, named after its distribution, and return that directory.

    `kind` is any kind of component ("operator", "regularizers", …). The plugin holds one working component
    of that kind to start from, its entry point, a README and a conformance test that passes.

    Raises `InputError` for a name that cannot be used, an unknown kind, or a directory that exists.
    """
    names = PluginNames.parse(name)
    what = KINDS[Registry.check_kind(kind)]
    target = Path(folder) / names.distribution
    if target.exists():
        raise InputError(f"{target} exists already; choose another name or folder, or remove it first")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside its place and moved there in one step, so that no half a plugin is left behind.
        staging = Path(tempfile.mkdtemp(prefix=f".{names.distribution}-", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    try:
        for path, text in _contents(names, what).items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            write_text(staging / path, text)
        staging.chmod(0o755)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return target


def _contents(names: PluginNames, kind: Kind) -> dict[str, str]:
    """The files of the plugin, by their path."""
    template = files(__name__) / "template"
    source = f"src/{names.package}"
    places: dict[str, Traversable] = {
        "pyproject.toml": template / "pyproject.toml.template",
        "README.md": template / "README.md.template",
        "tests/test_conformance.py": template / "tests" / "test_conformance.py.template",
        f"{source}/__init__.py": template / "package.py.template",
        f"{source}/{names.module}.py": template / "components" / f"{kind.name}.py.template",
    }
    values = _values(names, kind)
    written = {place: Template(file.read_text(encoding="utf-8")).substitute(values) for place, file in places.items()}
    return {**written, f"{source}/py.typed": "", ".gitignore": "__pycache__/\n*.egg-info/\ndist/\n"}


def _values(names: PluginNames, kind: Kind) -> dict[str, str]:
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return {
        "distribution": names.distribution,
        "package": names.package,
        "component": names.component,
        "module": names.module,
        "cls": names.cls,
        "group": kind.group,
        "label": kind.label,
        "kind": kind.label.replace(" ", "-"),
        "core": f">={major}.{minor},<{major}.{minor + 1}",
    }
