"""Conformance kit: checks that a component keeps what its kind promises.

A plugin's whole test file is

    from wellposed.testing import parametrize_distribution

    @parametrize_distribution("wellposed-mine")
    def test_conformance(case):
        case()

Every check of every component and example is a pytest item of its own; see `promise.Check`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_MODULE_OF = {
    "Case": "case",
    "Check": "promise",
    "NotPromised": "promise",
    "Result": "kit",
    "Subject": "subject",
    "check_component": "kit",
    "check_distribution": "kit",
    "checks_for": "checks",
    "parametrize_distribution": "parametrize",
    "parametrize_entries": "parametrize",
    "parametrize_with_checks": "parametrize",
}

__all__ = list(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'wellposed.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


if TYPE_CHECKING:
    from .case import Case as Case
    from .checks import checks_for as checks_for
    from .kit import Result as Result
    from .kit import check_component as check_component
    from .kit import check_distribution as check_distribution
    from .parametrize import parametrize_distribution as parametrize_distribution
    from .parametrize import parametrize_entries as parametrize_entries
    from .parametrize import parametrize_with_checks as parametrize_with_checks
    from .promise import Check as Check
    from .promise import NotPromised as NotPromised
    from .subject import Subject as Subject
