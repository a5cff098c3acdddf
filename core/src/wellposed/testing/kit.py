"""The kit without pytest: which checks a component has, and the results of running them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..registry import one_line, registry
from .case import Case, cases_of_class, cases_of_entry, entries_of
from .promise import Check, NotPromised

Outcome = Literal["passed", "failed", "skipped"]

#: Modules whose `CHECKS` a kind has beside those of `documentation` and `building`.
_MODULES: dict[str, tuple[str, ...]] = {
    "operators": ("operators", "linear_operators", "nonlinear_operators"),
    "patterns": ("patterns",),
    "noise": ("noise",),
    "fidelities": ("fidelities",),
    "regularizers": ("regularizers", "proximal_maps", "convexity"),
    "iterations": ("iterations", "convergence"),
    "accelerations": ("accelerations",),
    "gradients": ("gradients",),
    "stopping": ("stopping",),
    "networks": ("networks",),
    "solvers": ("solvers",),
    "trainers": ("trainers",),
    "datasets": ("datasets",),
    "metrics": ("metrics",),
}


@dataclass(frozen=True)
class Result:
    """How one check of one component went; `message` says what was broken, or why there was nothing to check."""

    kind: str
    component: str
    check: str
    outcome: Outcome
    message: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.outcome != "failed"


def checks_for(kind: str, cls: type) -> list[Check]:
    """The checks that a class of `kind` has to pass."""
    kind = registry().check_kind(kind)
    names = ("documentation", "building", *_MODULES[kind])
    modules = [importlib.import_module(f".{name}", __package__) for name in names]
    return [check for module in modules for check in module.CHECKS if check.applies(cls)]


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
        case()
    except NotPromised as reason:
        outcome, message = "skipped", str(reason)
    except AssertionError as error:
        outcome, message = "failed", one_line(error)
    except Exception as error:
        outcome, message = "failed", f"{type(error).__name__}: {one_line(error)}"
    seconds = time.perf_counter() - started
    return Result(case.kind, case.where, case.check, outcome, message, seconds)
