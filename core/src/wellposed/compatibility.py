"""What would fit where a composition does not: found by trying what is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import CompositionError, PluginError, WellposedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .iteration import Iteration
    from .problem import Problem


def with_alternatives(
    error: CompositionError, problem: Problem, stationary: bool = False, differentiable: bool = False
) -> CompositionError:
    """`error` with the names of the registered iterations that can work on `problem`."""
    names = ", ".join(fitting_iterations(problem, stationary, differentiable)) or "none that is installed"
    return type(error)(f"{str(error).rstrip('.')}. Iterations that fit: {names}")


def fitting_iterations(problem: Problem, stationary: bool = False, differentiable: bool = False) -> list[str]:
    """The registered iterations that accept `problem`; where asked for, `stationary` or `differentiable` ones alone.

    Each is tried as its `examples()` build it; arguments that it takes to fit stand behind its name.
    """
    found: dict[str, str] = {}
    for name, arguments, iteration in _registered():
        if name in found or (stationary and not iteration.stationary):
            continue
        if differentiable and not iteration.differentiable:
            continue
        try:
            iteration.check(problem)
        except WellposedError:
            continue
        given = ", ".join(f"{key}: {value}" for key, value in arguments.items())
        found[name] = f"{name} ({given})" if given else name
    return sorted(found.values())


def _registered() -> Iterator[tuple[str, dict[str, Any], Iteration]]:
    """Every registered iteration, built by its defaults where it has them, then by its examples."""
    from .recipes.builder import construct
    from .registry import registry

    for entry in registry().entries("iterations"):
        try:
            examples = sorted(entry.load().examples(), key=len)
            yield from ((entry.name, example, construct(entry.load(), example)) for example in examples)
        except (PluginError, WellposedError):
            continue
