"""Loading hooks: each entry point alone, so that a broken one is reported and the others work."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import pluggy

from ..registry import HOOKS_GROUP, PluginPoint, core_mismatch, one_line, plugin_entry_points
from . import hookspecs
from .guard import TooLong, WrongResult, guarded, in_time

_log = logging.getLogger(__name__)

#: Seconds that the import of a module of hooks may take; it imports no torch.
PATIENCE = 20.0


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

    def load(self, point: PluginPoint) -> None:
        """Load one entry point; what goes wrong is kept in `failures`, never raised.

        A requirement on the core that is not met is noticed before the plugin is imported. A module that is not
        imported in `PATIENCE` seconds is done without, and named in a warning.
        """
        name = point.full_name
        mismatch = core_mismatch(point.distribution, point.version, point.requires)
        if mismatch:
            self.failures.append(HookFailure(name, mismatch))
            return
        try:
            self.register(in_time(point.load, PATIENCE)(), name)
        except TooLong:
            reason = f"its module is not imported after {PATIENCE:g} s"
            self.failures.append(HookFailure(name, reason))
            _log.warning("the hooks of %s are left out: %s", name, reason)
        except Exception as error:
            self.failures.append(HookFailure(name, f"{type(error).__name__}: {one_line(error)}"))

    def register(self, plugin: object, name: str) -> None:
        """Add the hook implementations of a module or object.

        pluggy leaves a plugin half registered where a later implementation of it is invalid; here it is
        taken out again. An implementation of a hook that does not exist is an error as well (a typo).
        """
        if self._manager.has_plugin(name):
            raise ValueError(f"hooks called {name} are already registered")
        guarded = self._guarded(plugin, name)
        try:
            self._manager.register(guarded, name)
            self._manager.check_pending()
        except Exception:
            if self._manager.get_plugin(name) is guarded:
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
        """Call `hook` of every plugin as pluggy does, and gather what is not `None`.

        The order is pluggy's: those marked `tryfirst`, then the last loaded before the first, then those marked
        `trylast`, within the wrappers. A plugin that raises, returns what the hook's specification does not allow
        or, where the hook has a limit of time, does not return, is said once, in a warning of this module's logger,
        and not called again; the work that the hook reports on goes on.
        """
        return list(getattr(self._manager.hook, hook)(**arguments) or ())

    def _guarded(self, plugin: object, name: str) -> object:
        """An object with the plugin's implementations, each within a guard and marked as the plugin marked it."""
        found = _Guarded()
        for attribute in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, attribute)
            if options is None:
                continue
            hook = options["specname"] or attribute
            check, patience = hookspecs.CHECKS.get(hook, _as_it_is), hookspecs.PATIENCE.get(hook)
            function = guarded(getattr(plugin, attribute), options, check, patience, partial(self._drop, name, hook))
            setattr(found, attribute, hookspecs.hookimpl(**options)(function))
        return found

    def _drop(self, name: str, hook: str, error: Exception) -> None:
        reason = f"{hook} raised {type(error).__name__}: {one_line(error)}"
        if isinstance(error, WrongResult | TooLong):
            reason = f"{hook}: {one_line(error)}"
        self.failures.append(HookFailure(name, reason))
        if self._manager.has_plugin(name):  # a plugin may fail in two wrappers of one call
            self._manager.unregister(name=name)
        _log.warning("the hooks of %s are switched off: %s", name, reason)


class _Guarded:
    """The guarded implementations of one plugin, as attributes; equal to itself alone."""


def _as_it_is(value: Any) -> Any:
    return value
