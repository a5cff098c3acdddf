"""Discovery: every component is found by its entry point; nothing is imported before it is used."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..errors import AmbiguousComponent, ComponentNotFound, InputError
from .entry import Entry, core_mismatch, one_line
from .installed import BrokenDistribution, Installed, PluginPoint, read_installed
from .kinds import HOOKS_GROUP, KINDS, RECIPES_GROUP, WEIGHTS_GROUP, Kind
from .known import PROVIDER

__all__ = [
    "HOOKS_GROUP",
    "KINDS",
    "RECIPES_GROUP",
    "WEIGHTS_GROUP",
    "BrokenDistribution",
    "Entry",
    "Installed",
    "Kind",
    "PluginPoint",
    "Registry",
    "component",
    "core_mismatch",
    "one_line",
    "plugin_entry_points",
    "read_installed",
    "registry",
]


def component(kind: str, name: str) -> Any:
    """The class registered as `name` (or `name@distribution`) under `kind`; see `Registry.find`."""
    return registry().find(kind, name).load()


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The registry of this environment, read once per process."""
    return Registry.installed()


class Registry:
    """All registered components, by kind and name."""

    def __init__(self, entries: list[Entry], broken: Sequence[BrokenDistribution] = ()) -> None:
        self._entries: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
        for entry in entries:
            self._entries[entry.kind].append(entry)
        #: Distributions whose metadata cannot be read, and with them what they register.
        self.broken = tuple(broken)

    @classmethod
    def installed(cls) -> Registry:
        """Read the entry points of the installed distributions; imports none of them."""
        installed = read_installed()
        entries = [
            Entry(point.name, kind.name, point.value, point.distribution, point.version, point.requires)
            for kind in KINDS.values()
            for point in installed.of(kind.group)
        ]
        return cls(entries, installed.broken)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The entries of a kind, or of all, sorted by kind, name and distribution."""
        kinds = KINDS if kind is None else [self.check_kind(kind)]
        found = [entry for k in kinds for entry in self._entries[k]]
        order = list(KINDS)
        return sorted(found, key=lambda e: (order.index(e.kind), e.name, e.distribution))

    def find(self, kind: str, name: str) -> Entry:
        """The one entry of that name.

        Raises `ComponentNotFound` (with the distribution that provides it, or the nearest names) and
        `AmbiguousComponent` (with both full names) where a bare name is claimed twice.
        """
        kind = self.check_kind(kind)
        bare, _, distribution = name.partition("@")
        found = [e for e in self._entries[kind] if e.name == bare and distribution in ("", e.distribution)]
        if not found:
            raise ComponentNotFound(self._not_found(kind, name))
        if len(found) > 1:
            names = " or ".join(sorted(e.full_name for e in found))
            raise AmbiguousComponent(f"two distributions register the {KINDS[kind].label} {bare!r}; write {names}")
        return found[0]

    def find_alone(self, name: str) -> Entry:
        """The one entry of that name among all kinds; raises as `find` does, and where two kinds have the name."""
        bare = name.partition("@")[0]
        kinds = [kind for kind in KINDS if any(e.name == bare for e in self._entries[kind])]
        if len(kinds) > 1:
            ways = " or ".join(f"'{KINDS[kind].label.replace(' ', '-')} {name}'" for kind in kinds)
            raise AmbiguousComponent(f"{bare!r} is the name of components of {len(kinds)} kinds; write {ways}")
        if kinds:
            return self.find(kinds[0], name)
        raise ComponentNotFound(self._nowhere(name))

    def clashes(self, entry: Entry) -> bool:
        """Whether another distribution registers the same name."""
        return sum(e.name == entry.name for e in self._entries[entry.kind]) > 1

    @staticmethod
    def check_kind(kind: str) -> str:
        """The kind's name, given as plural or singular; raises `InputError` with the known ones."""
        for known in KINDS.values():
            if kind in (known.name, known.label, known.label.replace(" ", "-"), known.name.removesuffix("s")):
                return known.name
        raise InputError(f"there is no kind of component called {kind!r}; kinds are: {', '.join(KINDS)}")

    def _not_found(self, kind: str, name: str) -> str:
        label = KINDS[kind].label
        text = f"no installed {label} is called {name!r}"
        elsewhere = [e.kind for k in KINDS for e in self._entries[k] if e.name == name]
        if elsewhere:
            return f"{text}; {name!r} is one of the {elsewhere[0]}"
        names = sorted(e.name for e in self._entries[kind])
        installed = f"installed are: {', '.join(names) or 'none'}"
        return f"{text}; {self._hint(name, names) or installed}{self._doubt()}"

    def _nowhere(self, name: str) -> str:
        names = sorted({e.name for e in self.entries()})
        hint = self._hint(name, names) or "`wellposed list` shows what is"
        return f"no installed component is called {name!r}; {hint}{self._doubt()}"

    def _doubt(self) -> str:
        """That a name may be missing because its distribution is broken."""
        return "".join(f". {broken}" for broken in self.broken)

    def _hint(self, name: str, names: list[str]) -> str:
        """Who provides `name`, or which of `names` it resembles; empty where nobody knows."""
        if PROVIDER.get(name) and PROVIDER[name] not in {e.distribution for e in self.entries()}:
            return f"{PROVIDER[name]} provides it: pip install {PROVIDER[name]}"
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        return f"did you mean {' or '.join(near)}?" if near else ""


def plugin_entry_points(group: str) -> list[PluginPoint]:
    """The entry points of a group, without those of broken and of disabled distributions; see `read_installed`."""
    return read_installed().of(group)
