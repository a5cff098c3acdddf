"""Checks: one small function for each promise of a kind of component."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import SkipTest

if TYPE_CHECKING:
    from .subject import Subject


class NotPromised(SkipTest):
    """The component does not promise what the check would measure; pytest shows it as skipped, with the reason."""


@dataclass(frozen=True)
class Check:
    """One promise, checked by calling it with a `Subject`.

    Raises `AssertionError` with a sentence that says what was promised, what was measured and the
    tolerance, and `NotPromised` where this component does not promise it. `applies(cls)` leaves a check
    out of the list where the class alone tells that it promises nothing of the sort. `per_class` checks
    run once for a class, the others for each of its examples. `since` is the version of the kit that brought
    the check; a name is never given to another promise. See `age` for what a new check does to others' plugins.
    """

    name: str
    promise: str
    function: Callable[[Subject], None]
    applies: Callable[[type], bool]
    per_class: bool = False
    since: str = "0.1"

    def __call__(self, subject: Subject) -> None:
        self.function(subject)


def check(
    *, applies: Callable[[type], bool] = lambda cls: True, per_class: bool = False, since: str = "0.1"
) -> Callable[[Callable[[Subject], None]], Check]:
    """Make a function the check of its name (`adjoint_is_exact` → `adjoint-is-exact`), its docstring the promise."""

    def make(function: Callable[[Subject], None]) -> Check:
        promise = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__.strip("_").replace("_", "-"), promise, function, applies, per_class, since)

    return make
