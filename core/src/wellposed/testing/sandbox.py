"""A registry for tests: what the test adds to it, and nothing that is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ..registry import Entry, Registry, registry


@dataclass(frozen=True)
class ClassEntry(Entry):
    """An entry that holds its class instead of importing it."""

    cls: type | None = field(default=None, compare=False)

    def load(self) -> Any:
        if self.cls is None:
            return super().load()
        self._check_interface(self.cls)
        return self.cls


class Sandbox:
    """While installed, `registry()` and recipes know the components added here and no others.

    def test_mine(plugin_sandbox):
        plugin_sandbox.add("operators", "mine", MyOperator)
        build("operators", {"use": "mine"})
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, kind: str, name: str, component: type | str, distribution: str = "sandbox") -> Entry:
        """Register a class, or a target `module:Class` that is imported when used."""
        cls = component if isinstance(component, type) else None
        target = f"{cls.__module__}:{cls.__qualname__}" if cls else str(component)
        entry = ClassEntry(name, Registry.check_kind(kind), target, distribution, "0", cls=cls)
        self._entries.append(entry)
        registry.cache_clear()
        return entry

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Registry, "installed", lambda: Registry(list(self._entries)))
        registry.cache_clear()
