"""Components built anew with some constructor arguments changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from wellposed import InputError
from wellposed.recipes.builder import constructor_parameters


def rebuilt(component: Any, values: Mapping[str, float], where: str) -> Any:
    """`component` constructed anew with the arguments at the dotted paths of `values` changed.

    What is not on a path is shared with the original, which is not touched. A component must keep its
    constructor's arguments as attributes of the same name: constants that it derives from them
    (smoothness, strong convexity) are then computed afresh, which a mere assignment would leave stale.
    """
    inner: dict[str, dict[str, float]] = {}
    changes: dict[str, Any] = {}
    for path, value in values.items():
        head, _, rest = path.partition(".")
        if rest:
            inner.setdefault(head, {})[rest] = value
        else:
            changes[head] = value
    for head, below in inner.items():
        changes[head] = rebuilt(_child(component, head, where), below, f"{where}.{head}")
    if isinstance(component, nn.ModuleList):
        return [changes.get(str(i), child) for i, child in enumerate(component)]
    return type(component)(**{**_arguments(component, changes, where), **changes})


def value_at(component: Any, path: str, where: str) -> Any:
    """The value at a dotted path; raises `InputError` where there is none, or no number."""
    head, _, rest = path.partition(".")
    child = _child(component, head, where)
    return value_at(child, rest, f"{where}.{head}") if rest else child


def _arguments(component: Any, changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The constructor's arguments, read from the attributes of the same names."""
    names = constructor_parameters(type(component))
    unknown = next((name for name in changes if name not in names), None)
    if unknown is not None:
        known = ", ".join(names) or "nothing"
        raise InputError(f"{where} ({type(component).__name__}) takes no argument {unknown!r}; it takes {known}")
    return {name: _child(component, name, where) for name in names if name not in changes}


def _child(component: Any, name: str, where: str) -> Any:
    if isinstance(component, nn.ModuleList):
        if not name.isdigit() or int(name) >= len(component):
            raise InputError(f"{where} holds {len(component)} parts, counted from 0; {name!r} is none of them")
        return component[int(name)]
    if not hasattr(component, name):
        known = ", ".join(constructor_parameters(type(component))) or "none"
        raise InputError(
            f"{where} ({type(component).__name__}) has no attribute {name!r}; its constructor's arguments are {known}"
        )
    return getattr(component, name)
