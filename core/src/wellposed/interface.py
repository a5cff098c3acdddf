"""What every registered component has in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class KnownValue:
    """One value of a component, worked out by other means than its code: `component(*inputs)` is `value`.

    `arguments` are its constructor's. Inputs and value may be nested lists, which stand for float64 tensors; a tuple
    among the inputs (the shape of a pattern) stays one, and so does a generator. `tolerance` is relative to the value.
    """

    inputs: tuple[Any, ...]
    value: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-9


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

    @classmethod
    def lacking(cls) -> str | None:
        """What must be installed before this can be built, as a sentence with the command; `None` where nothing is.

        For components on optional packages; `wellposed doctor` says it. Answered by importing what is needed: a
        package that is found may still be broken.
        """
        return None

    @classmethod
    def known_values(cls) -> Iterable[KnownValue]:
        """Values known from the source or by hand, against which the conformance kit holds the component.

        Nothing but a known value tells a component from the same one in other units: twice a metric is a metric.
        """
        return ()
