"""The kit in pytest: one item for each check of each component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from ..errors import InputError
from ..registry import Entry
from .case import Case, cases_of_entry, entries_of
from .kit import cases_of


def parametrize_with_checks(
    kind: str, component: type | str, *, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Parametrize a test over the checks of one component, a class or a registered name.

        @parametrize_with_checks("operators", MyOperator)
        def test_my_operator(case):
            case()

    `expected_failures` maps checks (`adjoint-is-exact`, or `my-operator.1/adjoint-is-exact` for one example)
    to the reason why they fail; such a check must fail, or the test says that the reason is gone.
    Raises `InputError` where it names a check that there is not.
    """
    return _parametrize(cases_of(kind, component), expected_failures or {})


def parametrize_distribution(name: str, *, expected_failures: Mapping[str, str] | None = None) -> pytest.MarkDecorator:
    """Parametrize a test over the checks of everything that a distribution registers.

    `expected_failures` as for `parametrize_with_checks`, with `component/check` or `kind/component/check`.
    Raises `InputError` where the distribution registers nothing.
    """
    return parametrize_entries(entries_of(name), expected_failures=expected_failures)


def parametrize_entries(
    entries: Iterable[Entry], *, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Parametrize a test over the checks of registered components, such as `registry().entries()`."""
    return _parametrize([case for entry in entries for case in cases_of_entry(entry)], expected_failures or {})


def _parametrize(cases: list[Case], expected: Mapping[str, str]) -> pytest.MarkDecorator:
    unused = set(expected) - {name for case in cases for name in _names(case)}
    if unused:
        raise InputError(f"expected_failures names checks that there are not: {', '.join(sorted(unused))}")
    return pytest.mark.parametrize("case", [_param(case, expected) for case in cases])


def _param(case: Case, expected: Mapping[str, str]) -> Any:
    reason = next((expected[name] for name in _names(case) if name in expected), None)
    marks = () if reason is None else (pytest.mark.xfail(reason=reason, strict=True),)
    return pytest.param(case, id=case.id, marks=marks)


def _names(case: Case) -> list[str]:
    """What `expected_failures` may call a case, from the most specific."""
    return [case.id, f"{case.where}/{case.check}", f"{case.component}/{case.check}", case.check]
