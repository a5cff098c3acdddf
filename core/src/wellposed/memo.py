"""What an iteration computes once per operator: norms and row blocks, kept while the operator is in use."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor

from .operator import Operator

V = TypeVar("V")
_OPERATORS = 4


class OperatorMemo:
    """Values that depend on an operator and a key alone; copies and pickles of it start empty.

    The latest four operators are remembered, since values such as row blocks keep theirs alive. An
    operator with learned parameters changes under our hands, so nothing of it is kept.
    """

    def __init__(self) -> None:
        self._values: WeakKeyDictionary[Operator, dict[Hashable, object]] = WeakKeyDictionary()

    def get(self, operator: Operator, key: Hashable, compute: Callable[[], V]) -> V:
        """The value of `key` for `operator`, computed at first use."""
        if any(p.requires_grad for p in operator.parameters()):
            return compute()
        if operator not in self._values:
            while len(self._values) >= _OPERATORS:
                del self._values[next(iter(self._values))]
            self._values[operator] = {}
        values = self._values[operator]
        if key not in values:
            values[key] = compute()
        return values[key]  # type: ignore[return-value]

    def __deepcopy__(self, memo: object) -> OperatorMemo:
        return OperatorMemo()

    def __reduce__(self) -> tuple[type[OperatorMemo], tuple[()]]:
        return OperatorMemo, ()


def placement(tensor: Tensor) -> Hashable:
    """Device and precision of a tensor, as part of a key."""
    return tensor.device, tensor.dtype.to_real()
