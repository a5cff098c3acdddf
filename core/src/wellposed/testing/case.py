"""Cases: checks bound to what they check, ready to be called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..registry import KINDS, Entry, one_line, registry
from .age import NewCheckWarning, why_it_only_warns
from .checks import checks_for
from .global_state import GlobalState
from .promise import Check, NotPromised


@dataclass(frozen=True)
class Case:
    """One check of one component; calling it raises `AssertionError` where the promise is broken."""

    kind: str
    component: str
    check: str
    run: Callable[[], None]
    example: int | None = None
    #: Why a failure is a warning only, for now.
    lenient: str | None = None

    def __call__(self) -> None:
        if self.lenient is None:
            self.run()
            return
        try:
            self.run()
        except NotPromised:
            raise
        except Exception as error:
            warnings.warn(f"{self.id}: {one_line(error)} ({self.lenient})", NewCheckWarning, stacklevel=2)

    @property
    def id(self) -> str:
        """`operators/parallel-beam.0/adjoint-is-exact`; the number is the example's, where there are several."""
        return f"{self.kind}/{self.where}/{self.check}"

    @property
    def where(self) -> str:
        return self.component if self.example is None else f"{self.component}.{self.example}"


def cases_of_entry(entry: Entry) -> list[Case]:
    """The cases of a registered component; one that cannot be loaded gives a single case that fails."""
    name = entry.full_name if registry().clashes(entry) else entry.name
    before = GlobalState.now()
    try:
        cls = entry.load()
    except Exception as error:
        return [Case(entry.kind, name, "loads", _failing(f"{type(error).__name__}: {one_line(error)}"))]
    changed = before.changes()
    return [
        Case(entry.kind, name, "loads", lambda: _loads(entry, changed)),
        *cases_of_class(entry.kind, cls, name, entry),
    ]


def cases_of_class(kind: str, cls: type, name: str | None = None, entry: Entry | None = None) -> list[Case]:
    """The cases of a component class, registered as `name` by `entry`, or not at all."""
    from .subject import Subject

    label = name or cls.__name__
    try:
        examples: list[Mapping[str, Any]] = [dict(e) for e in cls.examples()]  # type: ignore[attr-defined]
    except Exception as error:
        return [Case(kind, label, "examples", _failing(f"examples() raises {type(error).__name__}: {one_line(error)}"))]
    checks = checks_for(kind, cls)
    lenient = {c: why_it_only_warns(c, entry) if entry else None for c in checks}
    whole = Subject(kind, cls, examples[0] if examples else {}, name)
    cases = [Case(kind, label, c.name, _bound(c, whole), lenient=lenient[c]) for c in checks if c.per_class]
    each = [c for c in checks if not c.per_class]
    if not examples:
        return [*cases, Case(kind, label, "examples", _skipped("examples() is empty: it needs the user's own data"))]
    for i, arguments in enumerate(examples):
        subject = Subject(kind, cls, arguments, name)
        number = i if len(examples) > 1 else None
        cases += [Case(kind, label, c.name, _bound(c, subject), number, lenient[c]) for c in each]
    return cases


def entries_of(distribution: str) -> list[Entry]:
    """What a distribution registers; raises `InputError` where that is nothing."""
    found = [e for e in registry().entries() if _normal(e.distribution) == _normal(distribution)]
    if not found:
        known = ", ".join(sorted({e.distribution for e in registry().entries()})) or "none"
        raise InputError(
            f"{distribution} registers no component here; distributions that do: {known}. A new one must be "
            f"installed (pip install -e .) and name its components under entry points such as "
            f"{KINDS['operators'].group}"
        )
    return found


def _loads(entry: Entry, changed: list[str]) -> None:
    if changed:
        raise AssertionError(f"importing {entry.target} changes the process for everyone: {'; '.join(changed)}")


def _bound(check: Check, subject: Any) -> Callable[[], None]:
    return lambda: check(subject)


def _failing(message: str) -> Callable[[], None]:
    def run() -> None:
        raise AssertionError(message)

    return run


def _skipped(reason: str) -> Callable[[], None]:
    def run() -> None:
        raise NotPromised(reason)

    return run


def _normal(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()
