"""The distributions that register something, read from their metadata; one that is broken stops nobody."""

from __future__ import annotations

import contextlib
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
    """A folder of metadata that cannot be used, named by its place since it may have no name.

    `unparsable`: not even by Python's own reader of entry points, so that all who ask for any of them fail, as
    torch and pydantic do when they are imported.
    """

    folder: str
    name: str
    reason: str
    unparsable: bool = False

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
        except Exception as error:  # parsers raise exceptions of any class on damaged files
            broken.setdefault(_folder(dist), _broken(dist, error))
            continue
        for point in found:
            owner = _normal(point.distribution)
            if owner not in disabled:
                points.setdefault((point.group, point.name, owner), point)
    kept = (each for each in broken.values() if each.unparsable or _normal(each.name) not in disabled)
    return Installed(tuple(points.values()), tuple(kept))


#: What keeps libraries from reading all entry points when they are imported: torch looks for device backends among
#: them, pydantic for plugins.
_SPARED = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "PYDANTIC_DISABLE_PLUGINS": "1"}


def spare_libraries(installed: Installed) -> None:
    """Where reading all entry points fails, keep the libraries that do so from it, here and in child processes."""
    if any(each.unparsable for each in installed.broken):
        for name, value in _SPARED.items():
            os.environ.setdefault(name, value)


def _points(dist: Any) -> Iterator[PluginPoint]:
    found = [point for point in _parsed(dist) if point.group.startswith(_PREFIX)]
    if not found:  # most distributions register nothing here, and their metadata need no parsing
        return
    name, version = dist.metadata["Name"], dist.metadata["Version"]
    if not name or not version:
        raise ValueError("its METADATA lacks the name or the version")
    requires = tuple(dist.requires or ())
    for point in found:
        yield PluginPoint(point.group, point.name, point.value, str(name), str(version), requires)


class _Unparsable(ValueError):
    """The file of entry points is no text, or no list of them."""


def _parsed(dist: Any) -> list[Any]:
    """The entry points; raises `OSError` or `_Unparsable` where their file is there and of no use."""
    folder = getattr(dist, "_path", None)  # the library's own reader takes an unreadable file for an absent one
    if isinstance(folder, Path):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (folder / _FILE).open("rb").close()
    try:
        return list(dist.entry_points)
    except UnicodeDecodeError as error:
        raise _Unparsable(f"its {_FILE} is no text") from error
    except Exception as error:  # whatever the parser stumbles over
        raise _Unparsable(f"its {_FILE} cannot be understood ({type(error).__name__})") from error


def _broken(dist: Any, error: Exception) -> BrokenDistribution:
    if isinstance(error, OSError) and "metadata" not in str(error).lower():
        reason = f"its {_FILE} cannot be read ({(error.strerror or str(error)).lower()})"
    else:
        reason = " ".join(str(error).split()).rstrip(".").replace("No package", "no package", 1)
    return BrokenDistribution(_folder(dist), _stem(dist), reason, isinstance(error, _Unparsable))


def _folder(dist: Any) -> str:
    return str(getattr(dist, "_path", "a distribution of unknown place"))


def _stem(dist: Any) -> str:
    """The distribution's name as its folder tells it: `my_plugin-1.0.dist-info` is of `my-plugin`."""
    return Path(_folder(dist)).name.partition("-")[0].replace("_", "-")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
