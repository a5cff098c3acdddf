"""A checksum of all that results depend on: unfinished work is gone on with only where it is the same."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..registry import HOOKS_GROUP, KINDS, plugin_entry_points
from .environment import device_name, packages

if TYPE_CHECKING:
    from ..recipes import Recipe

#: Of a folder that a recipe names so many files are looked at.
_FILES = 10_000


def mark_of(recipe: Recipe, images: int | None) -> str:
    """The checksum of a recipe, the number of images that are kept, versions, threads, device, sources and files.

    Sources are the modules of the core and of the plugins that are loaded, files those that the recipe names; of both
    the size and the time of the last change are looked at.
    """
    import torch

    document = recipe.document()
    known = {
        "recipe": document,
        "images": images,
        "packages": packages(),
        "threads": torch.get_num_threads(),
        "device": device_name(recipe.device),
        "sources": sorted(_sources()),
        "files": sorted(_files(document)),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _sources() -> Iterator[tuple[str, int, int]]:
    groups = [*(kind.group for kind in KINDS.values()), HOOKS_GROUP]
    own = {point.value.split(":")[0].split(".")[0] for group in groups for point in plugin_entry_points(group)}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.split(".")[0] in {*own, "wellposed"}:
            yield from _stamp(Path(file))


def _files(node: Any) -> Iterator[tuple[str, int, int]]:
    if isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _files(each)
    elif isinstance(node, str) and node:
        path = Path(node)
        yield from _stamp(path)
        if os.path.isdir(node):  # of pathlib's the names that are too long raise
            for inside in islice(path.rglob("*"), _FILES):
                yield from _stamp(inside)


def _stamp(path: Path) -> Iterator[tuple[str, int, int]]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return
    yield str(path), found.st_size if path.is_file() else 0, found.st_mtime_ns if path.is_file() else 0
