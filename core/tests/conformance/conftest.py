"""How the tests of the kit look at its verdicts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wellposed.testing import check_component

#: Test classes are terse; what they are documented with is not what is tested here.
_PROSE = {"has-summary", "explains-arguments"}

Failures = Callable[[str, type], dict[str, str]]


@pytest.fixture
def failures() -> Failures:
    """The failed checks of a class, with their messages."""

    def run(kind: str, cls: type) -> dict[str, str]:
        results = check_component(kind, cls)
        return {r.check: r.message for r in results if not r.ok and r.check not in _PROSE}

    return run
