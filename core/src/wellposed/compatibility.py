"""Sentences for compositions that do not fit, with the names of those that would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import CompositionError, PluginError

if TYPE_CHECKING:
    from .iteration import Iteration
    from .regularizer import Regularizer


def refuse_regularizer(iteration: Iteration, regularizer: Regularizer, missing: Iterable[str]) -> CompositionError:
    """Why `iteration` cannot use `regularizer`, and which registered iterations can."""
    have = ", ".join(sorted(regularizer.capabilities)) or "nothing"
    fitting = ", ".join(fitting_iterations(regularizer)) or "none that is installed"
    return CompositionError(
        f"{type(iteration).__name__} needs a regularizer with {', '.join(sorted(missing))}; "
        f"{type(regularizer).__name__} declares {have}. Iterations that fit: {fitting}"
    )


def fitting_iterations(regularizer: Regularizer) -> list[str]:
    """Names of the registered iterations whose requirements `regularizer` meets."""
    from .registry import registry

    names = []
    for entry in registry().entries("iterations"):
        try:
            if entry.load().requires <= regularizer.capabilities:
                names.append(entry.name)
        except PluginError:
            continue
    return sorted(names)
