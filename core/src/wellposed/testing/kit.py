"""The kit without pytest: the results of running the checks of a component."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..registry import one_line, registry
from .case import Case, cases_of_class, cases_of_entry, entries_of
from .promise import NotPromised

Outcome = Literal["passed", "failed", "warned", "skipped"]


@dataclass(frozen=True)
class Result:
    """How one check of one component went; `message` says what was broken, or why there was nothing to check.

    "warned": broken, but the check is too new to fail this distribution; see `age`.
    """

    kind: str
    component: str
    check: str
    outcome: Outcome
    message: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.outcome != "failed"


def check_component(kind: str, cls_or_name: type | str) -> list[Result]:
    """Run all checks of a component, given as its class or its registered name."""
    return _run(cases_of(kind, cls_or_name))


def check_distribution(name: str) -> list[Result]:
    """Run all checks of everything that a distribution registers; raises `InputError` where that is nothing."""
    return _run(case for entry in entries_of(name) for case in cases_of_entry(entry))


def cases_of(kind: str, cls_or_name: type | str) -> list[Case]:
    """The cases of a component, given as its class or its registered name."""
    kind = registry().check_kind(kind)
    if isinstance(cls_or_name, str):
        return cases_of_entry(registry().find(kind, cls_or_name))
    return cases_of_class(kind, cls_or_name)


def _run(cases: Iterable[Case]) -> list[Result]:
    return [_result(case) for case in cases]


def _result(case: Case) -> Result:
    outcome: Outcome = "passed"
    message = ""
    started = time.perf_counter()
    try:
        case.run()
    except NotPromised as reason:
        outcome, message = "skipped", str(reason)
    except AssertionError as error:
        outcome, message = "failed", one_line(error)
    except Exception as error:
        outcome, message = "failed", f"{type(error).__name__}: {one_line(error)}"
    if outcome == "failed" and case.lenient:
        outcome, message = "warned", f"{message} ({case.lenient})"
    seconds = time.perf_counter() - started
    return Result(case.kind, case.where, case.check, outcome, message, seconds)
