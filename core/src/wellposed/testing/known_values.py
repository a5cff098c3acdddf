"""What a component that states known values promises: to give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..interface import Component
from .measure import at_most, relative, that
from .promise import NotPromised, check
from .subject import Subject


def _states_values(cls: type) -> bool:
    own = getattr(cls, "known_values", None)
    return own is not None and own.__func__ is not Component.known_values.__func__


@check(applies=_states_values, per_class=True, since="0.2")
def known_values_hold(subject: Subject) -> None:
    """The component gives every value that its `known_values` state."""
    known = list(subject.cls.known_values())  # type: ignore[attr-defined]
    if not known:
        raise NotPromised("it states no known value")
    for case in known:
        component = Subject(subject.kind, subject.cls, case.arguments, subject.name).build()
        value = torch.as_tensor(component(*(_tensor(given) for given in case.inputs)))
        expected = _tensor(case.value)
        what = ", ".join(f"{k}={v!r}" for k, v in case.arguments.items())
        that(
            value.shape == expected.shape,
            f"{subject.label}({what}) must give shape {tuple(expected.shape)}; it gives {tuple(value.shape)}",
        )
        at_most(
            relative(value.to(expected.dtype), expected),
            case.tolerance,
            f"{subject.label}({what}) against the value known, {expected.flatten()[:4].tolist()}…",
        )


def _tensor(given: Any) -> Any:
    """Lists and numbers in double precision; tensors too, but for the field that they are of."""
    if isinstance(given, tuple | torch.Generator):
        return given
    tensor = given if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given))
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


CHECKS = (known_values_hold,)
