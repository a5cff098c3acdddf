"""pytest plugin of the conformance kit. It is imported by every pytest run, so it imports no torch.

`pytest --wellposed-distribution NAME` checks everything that a distribution registers, without a test
file; the fixture `plugin_sandbox` gives a registry that holds what the test puts into it and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .case import Case
    from .sandbox import Sandbox


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("wellposed").addoption(
        "--wellposed-distribution",
        action="append",
        default=[],
        metavar="NAME",
        help="check every component that the installed distribution NAME registers (may be repeated)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    for distribution in config.getoption("wellposed_distribution") or ():
        items.extend(_items(session, distribution))


@pytest.fixture
def plugin_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A registry without the installed plugins, to which a test adds components; see `sandbox.Sandbox`."""
    from ..registry import registry
    from .sandbox import Sandbox

    sandbox = Sandbox()
    sandbox.install(monkeypatch)
    yield sandbox
    monkeypatch.undo()
    registry.cache_clear()


def _items(session: pytest.Session, distribution: str) -> list[pytest.Item]:
    from ..errors import InputError
    from .case import cases_of_entry, entries_of

    try:
        entries = entries_of(distribution)
    except InputError as error:
        raise pytest.UsageError(str(error)) from error
    cases = [case for entry in entries for case in cases_of_entry(entry)]
    return [ConformanceItem.from_parent(session, name=case.id, case=case) for case in cases]


class ConformanceItem(pytest.Item):
    """One check of one component, as a pytest item."""

    def __init__(self, *, case: Case, **options: Any) -> None:
        super().__init__(**options)
        self.case = case

    def runtest(self) -> None:
        self.case()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, AssertionError):
            return f"{self.name}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.path, None, self.name
