"""What every registered component has in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Component:
    """Mixin of all component kinds: its source, and the examples that tests and pages build it from.

    `source` names the paper and the equation. `examples` gives constructor arguments as a recipe would
    write them (plain numbers, strings, lists, nested `{use: name}` mappings); the conformance kit
    builds and checks each of them. A component without required arguments needs none.
    """

    source: str = ""

    @classmethod
    def examples(cls) -> Iterable[Mapping[str, Any]]:
        return ({},)
