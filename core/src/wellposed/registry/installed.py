"""The distributions that register something, read from their metadata; one that is broken stops nobody."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import importlib_metadata

from .kinds import GROUPS

_FILE = "entry_points.txt"
_PREFIX = "wellposed."


@dataclass(frozen=True)
class PluginPoint:
    """One entry point, with what the metadata of its distribution say."""

    group: str
    name: str
    value: str
    distribution: str
    version: str
    requires: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """`distribution:name`."""
        return f"{self.distribution}:{self.name}"

    def load(self) -> Any:
        """Import what the entry point names; raises what the import raises, `ValueError` for a malformed target."""
        return importlib_metadata.EntryPoint(self.name, self.value, self.group).load()


@dataclass(frozen=True)
class BrokenDistribution:
    """A folder of metadata that cannot be used, named by its place since it may have no name."""

    folder: str
    name: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.folder} is broken: {self.reason}. An installation was cut short or a file is damaged: "
            f"run pip install --force-reinstall {self.name}, or remove the folder"
        )


@dataclass(frozen=True)
class Installed:
    """All entry points of this project's groups, and the distributions whose entry points cannot be known."""

    points: tuple[PluginPoint, ...]
    broken: tuple[BrokenDistribution, ...]

    def of(self, group: str) -> list[PluginPoint]:
        return [point for point in self.points if point.group == group]

    def strangers(self) -> list[tuple[PluginPoint, str]]:
        """Entry points of groups that do not exist, which nobody reads, each with a sentence."""
        found = []
        for point in self.points:
            if point.group not in GROUPS:
                near = difflib.get_close_matches(point.group, GROUPS, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                found.append((point, f"{point.name} is registered in {point.group}, which is no group{hint}"))
        return found


def read_installed() -> Installed:
    """Read the metadata of everything on the path; imports nothing and raises nothing.

    Of two distributions of one name the first on the path counts, as for Python's imports. The environment
    variable `WELLPOSED_DISABLE` names distributions, separated by commas, to leave out.
    """
    disabled = {_normal(d) for d in os.environ.get("WELLPOSED_DISABLE", "").split(",") if d.strip()}
    points: dict[tuple[str, str, str], PluginPoint] = {}
    broken: dict[str, BrokenDistribution] = {}
    for dist in importlib_metadata.distributions():
        try:
            found = list(_points(dist))
        except Exception as error:  # parsers raise whatever they like on damaged files
            stem = _stem(dist)
            if _normal(stem) not in disabled:
                broken.setdefault(_folder(dist), BrokenDistribution(_folder(dist), stem, _reason(error)))
            continue
        for point in found:
            owner = _normal(point.distribution)
            if owner not in disabled:
                points.setdefault((point.group, point.name, owner), point)
    return Installed(tuple(points.values()), tuple(broken.values()))


def _points(dist: Any) -> Iterator[PluginPoint]:
    text = _text(dist)
    if _PREFIX not in text:  # most distributions register nothing here, and their metadata need no parsing
        return
    name, version = dist.metadata["Name"], dist.metadata["Version"]
    if not name or not version:
        raise ValueError("its METADATA lacks the name or the version")
    requires = tuple(dist.requires or ())
    for point in dist.entry_points:
        if point.group.startswith(_PREFIX):
            yield PluginPoint(point.group, point.name, point.value, str(name), str(version), requires)


def _text(dist: Any) -> str:
    """The file of entry points, empty where there is none; raises where it is there and cannot be read as text."""
    folder = getattr(dist, "_path", None)  # the library's own reader takes an unreadable file for an absent one
    if not isinstance(folder, Path):
        return dist.read_text(_FILE) or ""
    file = folder / _FILE
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        if _PREFIX.encode() in content or _PREFIX.rstrip(".") in folder.name:
            raise
        return ""


def _reason(error: Exception) -> str:
    if "metadata" in str(error).lower():
        return " ".join(str(error).split()).rstrip(".").replace("No package", "no package", 1)
    if isinstance(error, UnicodeDecodeError):
        return f"its {_FILE} is no text"
    if isinstance(error, OSError):
        return f"its {_FILE} cannot be read ({(error.strerror or str(error)).lower()})"
    return f"its {_FILE} cannot be understood ({type(error).__name__})"


def _folder(dist: Any) -> str:
    return str(getattr(dist, "_path", "a distribution of unknown place"))


def _stem(dist: Any) -> str:
    """The distribution's name as its folder tells it: `my_plugin-1.0.dist-info` is of `my-plugin`."""
    return Path(_folder(dist)).name.partition("-")[0].replace("_", "-")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
