"""One registered component: what its metadata says, and loading it when it is used."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from .. import __version__
from ..errors import PluginError
from .kinds import KINDS
from .summary import UnreadableTarget, summary_of


@dataclass(frozen=True)
class Entry:
    """A component named by an entry point. Only `load` imports it."""

    name: str
    kind: str
    target: str
    distribution: str
    version: str
    requires: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """`name@distribution`, unambiguous whatever else is installed."""
        return f"{self.name}@{self.distribution}"

    @cached_property
    def incompatibility(self) -> str | None:
        """Why the distribution's requirement on wellposed-core is not met; `None` where it is."""
        return core_mismatch(self.distribution, self.version, self.requires)

    @cached_property
    def error(self) -> str | None:
        """What is wrong, as far as metadata and source text tell; loading may find more."""
        if self.incompatibility:
            return self.incompatibility
        try:
            summary_of(self.target)
        except UnreadableTarget as error:
            return str(error)
        return None

    @cached_property
    def summary(self) -> str:
        """The first line of the component's docstring."""
        try:
            return summary_of(self.target)
        except UnreadableTarget:
            return ""

    def load(self) -> Any:
        """The class; raises `PluginError` naming the distribution and the cause."""
        if self.incompatibility:
            raise PluginError(self.incompatibility)
        module, _, attribute = self.target.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{KINDS[self.kind].label} {self.name} of {self.distribution} {self.version} cannot be loaded "
                f"from {self.target}: {type(error).__name__}: {one_line(error)}"
            ) from error
        self._check_interface(found)
        return found

    def _check_interface(self, found: Any) -> None:
        module, _, attribute = KINDS[self.kind].interface.partition(":")
        interface = getattr(importlib.import_module(module), attribute)
        if not (isinstance(found, type) and issubclass(found, interface)):
            raise PluginError(
                f"{self.target} of {self.distribution} is registered under {KINDS[self.kind].group} but is no "
                f"subclass of wellposed.{attribute}"
            )


@cache
def core_mismatch(distribution: str, version: str, requires: tuple[str, ...]) -> str | None:
    """Evaluate a distribution's requirement on wellposed-core against the installed core."""
    installed = __version__  # not from its metadata, which may be damaged like any other's
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name == "wellposed-core" and not requirement.specifier.contains(installed, prereleases=True):
            return (
                f"{distribution} {version} needs wellposed-core{requirement.specifier}, installed is {installed}; "
                f"run: pip install --upgrade {distribution} wellposed-core"
            )
    return None


def one_line(error: BaseException) -> str:
    """An exception's message on one line."""
    return " ".join(str(error).split()) or "no message"
