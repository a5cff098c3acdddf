"""A mutant: a right component with one thing changed, and the checks that must tell."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from wellposed.registry import registry
from wellposed.testing import Check, NotPromised, Subject, checks_for

Change = Callable[[type], type]


@dataclass(frozen=True)
class Mutant:
    """`base`, a registered name or one of the kit's doubles, with one `change`.

    `caught_by`: the checks that are about what was changed; one of them must fail. `survives`: why none does, for
    the few that the kit lets through. `example`: which of the base's examples is changed, or the constructor
    arguments themselves.
    """

    name: str
    base: str
    change: Change
    caught_by: tuple[str, ...]
    survives: str = ""
    example: int | Mapping[str, Any] = 0
    kind: str = ""

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.base}/{self.name}"

    @property
    def subject(self) -> Subject:
        """The changed component."""
        base = base_class(self.kind, self.base)
        return Subject(self.kind, _renamed(self.change(base), base), self._arguments(base))

    @property
    def original(self) -> Subject:
        base = base_class(self.kind, self.base)
        return Subject(self.kind, base, self._arguments(base))

    def _arguments(self, base: Any) -> Mapping[str, Any]:
        return self.example if isinstance(self.example, Mapping) else list(base.examples())[self.example]


def mutants(kind: str, *rows: tuple[Any, ...]) -> tuple[Mutant, ...]:
    """Rows `(base, what is changed, change, checks)` with an optional dictionary of the other fields."""
    made = []
    for base, name, change, checks, *rest in rows:
        more = rest[0] if rest else {}
        made.append(Mutant(name, base, change, tuple(checks.split()), kind=kind, **more))
    return tuple(made)


def failure(subject: Subject, name: str) -> str | None:
    """What the check `name` says against a component; `None` where it is content, or has no such check."""
    found = [c for c in checks_for(subject.kind, subject.cls) if c.name == name]
    return _told(found[0], subject) if found else None


def failure_of_base(mutant: Mutant, name: str) -> str | None:
    """What the check `name` says against the component that was right before; asked once for each base."""
    return _asked_once(mutant.kind, mutant.base, repr(mutant.example), name, mutant)


def failures(subject: Subject) -> dict[str, str]:
    """What all checks say against a component."""
    told = {check.name: _told(check, subject) for check in checks_for(subject.kind, subject.cls)}
    return {name: message for name, message in told.items() if message is not None}


@cache
def base_class(kind: str, base: str) -> type:
    if base[0].isupper():
        return getattr(importlib.import_module("wellposed.testing.doubles"), base)
    return registry().find(kind, base).load()


_known: dict[tuple[str, ...], str | None] = {}


def _asked_once(kind: str, base: str, example: str, name: str, mutant: Mutant) -> str | None:
    key = (kind, base, example, name)
    if key not in _known:
        _known[key] = failure(mutant.original, name)
    return _known[key]


def _told(check: Check, subject: Subject) -> str | None:
    try:
        check(subject)
    except NotPromised:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _renamed(cls: type, base: type) -> type:
    """Documented as its base is, so that no check of the prose fails."""
    cls.__doc__, cls.__name__ = base.__doc__, f"Mutated{base.__name__}"
    return cls
