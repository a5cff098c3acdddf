"""Operator algebra: compositions, sums, multiples, adjoints and stacks are operators again.

`take` gives the operator itself back where no member holds per-sample data, so that norms and other
cached values survive when a batch shrinks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .errors import CompositionError
from .operator import LinearOperator, Operator, RowBlock
from .space import Space
from .structure import Structure, stacked


def compose(outer: Operator, inner: Operator) -> Operator:
    """`outer ∘ inner`; linear where both are."""
    if isinstance(outer, LinearOperator) and isinstance(inner, LinearOperator):
        return ComposedLinearOperator(outer, inner)
    return ComposedOperator(outer, inner)


def stack(operators: Sequence[LinearOperator]) -> StackedOperator:
    """`x ↦ (A_1 x, …, A_n x)`: measurements of several operators of one image."""
    return StackedOperator(operators)


class ComposedOperator(Operator):
    """`x ↦ A(B(x))`."""

    def __init__(self, outer: Operator, inner: Operator) -> None:
        _same_space(inner.range, outer.domain, "compose", inner, outer)
        super().__init__(inner.domain, outer.range)
        self.outer, self.inner = outer, inner

    def _forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))

    def norm(self) -> float | None:
        outer, inner = self.outer.norm(), self.inner.norm()
        return None if outer is None or inner is None else outer * inner

    def take(self, index: Tensor) -> Operator:
        outer, inner = self.outer.take(index), self.inner.take(index)
        return self if outer is self.outer and inner is self.inner else compose(outer, inner)


class ComposedLinearOperator(LinearOperator):
    """`x ↦ A B x` with adjoint `B* A*`."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        _same_space(inner.range, outer.domain, "compose", inner, outer)
        super().__init__(inner.domain, outer.range)
        self.outer, self.inner = outer, inner

    def _forward(self, x: Tensor) -> Tensor:
        return self.outer._forward(self.inner._forward(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._adjoint(y))

    def _gram(self, x: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._gram(self.inner._forward(x)))

    def structure(self) -> Structure:
        return self.outer.structure().after(self.inner.structure())

    def take(self, index: Tensor) -> LinearOperator:
        outer, inner = self.outer.take(index), self.inner.take(index)
        return self if outer is self.outer and inner is self.inner else ComposedLinearOperator(outer, inner)


class SumOperator(LinearOperator):
    """`x ↦ A x + B x`."""

    def __init__(self, first: LinearOperator, second: LinearOperator) -> None:
        _same_space(first.domain, second.domain, "add", first, second)
        _same_space(first.range, second.range, "add", first, second)
        super().__init__(first.domain, first.range)
        self.first, self.second = first, second

    def _forward(self, x: Tensor) -> Tensor:
        return self.first._forward(x) + self.second._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.first._adjoint(y) + self.second._adjoint(y)

    def take(self, index: Tensor) -> LinearOperator:
        first, second = self.first.take(index), self.second.take(index)
        return self if first is self.first and second is self.second else SumOperator(first, second)


class ScaledOperator(LinearOperator):
    """`x ↦ c A x` with a real factor `c`."""

    def __init__(self, operator: LinearOperator, factor: float) -> None:
        super().__init__(operator.domain, operator.range)
        self.operator, self.factor = operator, float(factor)

    def _forward(self, x: Tensor) -> Tensor:
        return self.factor * self.operator._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.factor * self.operator._adjoint(y)

    def _gram(self, x: Tensor) -> Tensor:
        return self.factor**2 * self.operator._gram(x)

    def structure(self) -> Structure:
        return self.operator.structure().scaled(self.factor)

    def _norm(self) -> float:
        return abs(self.factor) * self.operator.norm()

    def _pinv(self, y: Tensor) -> Tensor:
        return self.operator._pinv(y) / self.factor

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        square = self.factor**2
        return self.operator._solve_normal(rhs, shift / square) / square

    def row_blocks(self, count: int) -> Sequence[RowBlock]:
        return [_ScaledRows(block, self.factor) for block in self.operator.row_blocks(count)]

    def take(self, index: Tensor) -> LinearOperator:
        part = self.operator.take(index)
        return self if part is self.operator else ScaledOperator(part, self.factor)


class AdjointOperator(LinearOperator):
    """`y ↦ A* y`."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.range, operator.domain)
        self.operator = operator

    def _forward(self, x: Tensor) -> Tensor:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operator._forward(y)

    def structure(self) -> Structure:
        return self.operator.structure().adjoint()

    def _norm(self) -> float:
        return self.operator.norm()

    def take(self, index: Tensor) -> LinearOperator:
        part = self.operator.take(index)
        return self if part is self.operator else AdjointOperator(part)

    @property
    def T(self) -> LinearOperator:
        return self.operator


class StackedOperator(LinearOperator):
    """`x ↦ (A_1 x, …, A_n x)`, flattened and concatenated: `(B, Σ range_i.size)`; `split` undoes it."""

    def __init__(self, operators: Sequence[LinearOperator]) -> None:
        if not operators:
            raise CompositionError("stack needs at least one operator")
        first = operators[0]
        for other in operators[1:]:
            _same_space(first.domain, other.domain, "stack", first, other)
        dtypes = {o.range.is_complex for o in operators}
        if len(dtypes) > 1:
            raise CompositionError("stack takes operators with all real or all complex measurements")
        super().__init__(first.domain, Space((sum(o.range.size for o in operators),), first.range.dtype))
        self.operators = nn.ModuleList(operators)

    def split(self, y: Tensor) -> list[Tensor]:
        """The measurement of each operator, in its own shape."""
        parts = y.split([o.range.size for o in self._members()], dim=1)
        return [p.reshape(len(y), *o.range.shape) for p, o in zip(parts, self._members(), strict=True)]

    def _forward(self, x: Tensor) -> Tensor:
        return torch.cat([o._forward(x).flatten(1) for o in self._members()], dim=1)

    def _adjoint(self, y: Tensor) -> Tensor:
        parts = zip(self._members(), self.split(y), strict=True)
        return torch.stack([o._adjoint(part) for o, part in parts]).sum(0)

    def structure(self) -> Structure:
        return stacked([o.structure() for o in self._members()])

    def take(self, index: Tensor) -> LinearOperator:
        parts = [o.take(index) for o in self._members()]
        same = all(part is own for part, own in zip(parts, self._members(), strict=True))
        return self if same else StackedOperator(parts)

    def _members(self) -> list[LinearOperator]:
        return list(self.operators)  # type: ignore[arg-type]


class _ScaledRows(RowBlock):
    """A multiple of a row block."""

    def __init__(self, block: RowBlock, factor: float) -> None:
        super().__init__(block.domain, block.range, block.axis, block.index)
        self.block, self.factor = block, factor

    def _forward(self, x: Tensor) -> Tensor:
        return self.factor * self.block._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.factor * self.block._adjoint(y)


def _same_space(first: Space, second: Space, verb: str, a: object, b: object) -> None:
    if first.shape != second.shape or first.is_complex != second.is_complex:
        raise CompositionError(
            f"cannot {verb} {type(a).__name__} and {type(b).__name__}: "
            f"{first.shape} ({_field(first)}) does not fit {second.shape} ({_field(second)})"
        )


def _field(space: Space) -> str:
    return "complex" if space.is_complex else "real"
