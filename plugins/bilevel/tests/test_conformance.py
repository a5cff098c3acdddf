"""Everything that the distribution registers, checked by the kit."""

from __future__ import annotations

from collections.abc import Callable

from wellposed.testing import parametrize_distribution


@parametrize_distribution("wellposed-bilevel")
def test_it_keeps_what_its_kind_promises(case: Callable[[], None]) -> None:
    case()
