"""Trained weights that distributions ship, and where they come from; read without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from . import PluginPoint, plugin_entry_points
from .kinds import WEIGHTS_GROUP
from .summary import UnreadableTarget, module_file

#: A safetensors file begins with the length of its header (8 bytes, little endian), then the header as JSON.
_LENGTH = 8
_LONGEST = 100_000_000


@dataclass(frozen=True)
class WeightsEntry:
    """Weights that a distribution ships; the file's metadata holds recipe, seed, figure and licence."""

    name: str
    path: Path
    distribution: str

    def provenance(self) -> dict[str, str]:
        """The file's metadata; raises `InputError` where it is no readable safetensors file."""
        try:
            with self.path.open("rb") as file:
                length = int.from_bytes(file.read(_LENGTH), "little")
                header = json.loads(file.read(min(length, _LONGEST)))
            return dict(header.get("__metadata__", {}))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise InputError(f"{self.path} is no readable safetensors file: {error}") from None


def all_weights() -> dict[str, WeightsEntry]:
    """Shipped weights by name; an entry point names `package:folder/file.safetensors`."""
    found = {}
    for point in plugin_entry_points(WEIGHTS_GROUP):
        try:
            found[point.name] = shipped_as(point)
        except UnreadableTarget:
            continue
    return found


def shipped_as(point: PluginPoint) -> WeightsEntry:
    """The weights that an entry point names; raises `UnreadableTarget` where its package is not there."""
    package, _, file = point.value.partition(":")
    return WeightsEntry(point.name, module_file(package).parent / file, point.distribution)
