"""Equivariance of learned maps under the groups that they claim."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .measure import at_most, relative
from .promise import NotPromised

#: Generators of each group as moves of images `(…, H, W)`; "translation" moves are periodic.
GENERATORS: dict[str, dict[str, Callable[[Tensor], Tensor]]] = {
    "translation": {"a periodic shift by (2, 1)": lambda x: torch.roll(x, (2, 1), (-2, -1))},
    "c2": {"a half turn": lambda x: torch.rot90(x, 2, (-2, -1))},
    "c4": {"a quarter turn": lambda x: torch.rot90(x, 1, (-2, -1))},
    "d4": {
        "a quarter turn": lambda x: torch.rot90(x, 1, (-2, -1)),
        "a reflection": lambda x: x.flip(-1),
    },
}


def assert_equivariances(
    component: object, call: Callable[[Tensor], Tensor], x: Tensor, who: str, tolerance: float = 1e-6
) -> None:
    """`call(g x) = g call(x)` for the generators of each group in `component.equivariances`."""
    claimed = getattr(component, "equivariances", frozenset())
    if not claimed:
        raise NotPromised("it claims no equivariance (attribute `equivariances`)")
    for group in sorted(claimed & set(GENERATORS)):
        for what, move in GENERATORS[group].items():
            error = relative(call(move(x)), move(call(x)))
            at_most(error, tolerance, f"{who} claims equivariance under {group}; relative error after {what}")
    unknown = claimed - set(GENERATORS)
    if unknown:
        raise NotPromised(f"the kit cannot check the groups {', '.join(sorted(unknown))}")
