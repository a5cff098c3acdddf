"""The spaces on which components without a domain of their own are checked."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..operator import Operator
from ..space import Space

_PIXELS = (16, 16)


def image_space(component: Any) -> Space:
    """Where a regularizer or network is checked.

    Its attribute `domain` (a `Space`) if it has one, else the domain of an operator inside it, else
    16 × 16 images of as many channels as its attribute `in_channels` says, or one.
    """
    for candidate in _with_parts(component):
        domain = getattr(candidate, "domain", None)
        if isinstance(domain, Space):
            return domain
    channels = next((n for c in _with_parts(component) if isinstance(n := getattr(c, "in_channels", None), int)), 1)
    return Space((channels, *_PIXELS))


def measurement_space(component: Any) -> Space:
    """Where a fidelity or noise model is checked: its attribute `range` (a `Space`), else 8 × 6 numbers."""
    for candidate in _with_parts(component):
        found = candidate.range if isinstance(candidate, Operator) else getattr(candidate, "range", None)
        if isinstance(found, Space):
            return found
    return Space((1, 8, 6))


def _with_parts(component: Any) -> list[Any]:
    return list(component.modules()) if isinstance(component, nn.Module) else [component]
