"""How old a check is, and what a new one does to plugins that were released before it.

A check that is new in the kit of 0.3 fails whatever was released against 0.3, and what belongs to this house. A
third party's distribution whose requirement still accepts an older `wellposed-core` was released against that: the
check warns it as long as the core is a 0.3, and fails it from 0.4 on.
"""

from __future__ import annotations

import re

import importlib_metadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from ..registry import Entry
from ..registry.known import PROVIDER
from .promise import Check


class NewCheckWarning(UserWarning):
    """A component breaks a promise that is checked since the last minor release; the next one fails it."""


def why_it_only_warns(check: Check, entry: Entry) -> str | None:
    """Until when a check of a registered component warns instead of failing; `None` where it fails."""
    oldest = _oldest_core(entry.requires)
    if entry.distribution in {"wellposed-core", *PROVIDER.values()} or oldest is None:
        return None
    since = Version(check.since)
    core = Version(importlib_metadata.version("wellposed-core"))
    if _minor(oldest) >= _minor(since) or _minor(core) > _minor(since):
        return None
    return (
        f"the check is new in {since}, and {entry.distribution} accepts wellposed-core {oldest}; it fails from "
        f"{since.major}.{since.minor + 1} on"
    )


def _oldest_core(requires: tuple[str, ...]) -> Version | None:
    """The oldest core that a distribution's requirements accept by name; `None` where they name none."""
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if re.sub(r"[-_.]+", "-", requirement.name).lower() == "wellposed-core":
            bounds = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==", "~=", ">")]
            return max(bounds, default=Version("0"))
    return None


def _minor(version: Version) -> tuple[int, int]:
    return version.major, version.minor
