"""Loading hooks: each entry point alone, so that a broken one is reported and the others work."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pluggy
from importlib_metadata import EntryPoint

from ..registry import HOOKS_GROUP, core_mismatch, one_line, plugin_entry_points
from . import hookspecs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HookFailure:
    """Why the hooks of one entry point are not used; `plugin` is `distribution:name`."""

    plugin: str
    reason: str


@lru_cache(maxsize=1)
def hooks() -> HookManager:
    """The hooks of this environment, loaded once per process."""
    return HookManager.installed()


class HookManager:
    """The hook implementations of all plugins that could be loaded, and the failures of the rest."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.failures: list[HookFailure] = []

    @classmethod
    def installed(cls) -> HookManager:
        """Load the entry points of the group `wellposed.hooks`, each alone."""
        manager = cls()
        for point in plugin_entry_points(HOOKS_GROUP):
            manager.load(point)
        return manager

    def load(self, point: EntryPoint) -> None:
        """Load one entry point; what goes wrong is kept in `failures`, never raised.

        A requirement on the core that is not met is noticed before the plugin is imported.
        """
        dist = point.dist
        name = f"{dist.name if dist else 'unknown'}:{point.name}"
        mismatch = core_mismatch(dist.name, dist.version, tuple(dist.requires or ())) if dist else None
        if mismatch:
            self.failures.append(HookFailure(name, mismatch))
            return
        try:
            self.register(point.load(), name)
        except (Exception, SystemExit) as error:
            self.failures.append(HookFailure(name, f"{type(error).__name__}: {one_line(error)}"))

    def register(self, plugin: object, name: str) -> None:
        """Add the hook implementations of a module or object.

        pluggy leaves a plugin half registered where a later implementation of it is invalid; here it is
        taken out again. An implementation of a hook that does not exist is an error as well (a typo).
        """
        known = self._manager.is_registered(plugin)
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
            self._refuse_wrappers(plugin)
        except Exception:
            if not known and self._manager.get_plugin(name) is plugin:
                self._manager.unregister(name=name)
            raise

    def names(self) -> list[str]:
        """The plugins in use, as `distribution:name`."""
        return sorted(name for name, _ in self._manager.list_name_plugin())

    def implements(self, hook: str) -> bool:
        """Whether any plugin implements `hook`; lets hot loops skip the call."""
        return bool(getattr(self._manager.hook, hook).get_hookimpls())

    def implemented_by(self, name: str) -> list[str]:
        """The hooks that the plugin `name` implements."""
        callers = self._manager.get_hookcallers(self._manager.get_plugin(name)) or []
        return sorted(caller.name for caller in callers)

    def call(self, hook: str, **arguments: Any) -> list[Any]:
        """Call `hook` of every plugin, in the order of their loading, and gather what is not `None`.

        A plugin that raises is said once, in a warning of this module's logger, and not called again; the
        work that the hook reports on goes on.
        """
        results = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                value = implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception as error:
                self._drop(implementation.plugin_name, hook, error)
                continue
            if value is not None:
                results.append(value)
        return results

    def _refuse_wrappers(self, plugin: object) -> None:
        for caller in self._manager.get_hookcallers(plugin) or []:
            if any(i.plugin is plugin and (i.wrapper or i.hookwrapper) for i in caller.get_hookimpls()):
                raise TypeError(f"{caller.name} is a wrapper; hooks observe, they do not wrap each other")

    def _drop(self, name: str, hook: str, error: Exception) -> None:
        reason = f"{hook} raised {type(error).__name__}: {one_line(error)}"
        self.failures.append(HookFailure(name, reason))
        self._manager.unregister(name=name)
        _log.warning("the hooks of %s are switched off: %s", name, reason)
