"""Row blocks of an operator: made once, visited in an order that keeps neighbours apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed import LinearOperator, Problem
from wellposed.memo import OperatorMemo, placement
from wellposed.operator import RowBlock


def row_blocks(operator: LinearOperator, count: int, like: Tensor, memo: OperatorMemo) -> list[RowBlock]:
    """The `count` blocks of an operator on the device of `like`, in visiting order.

    Consecutive blocks of tomography see the object from almost the same side and correct the same
    errors; steps of the golden section keep them apart (Guan and Gordon 1994 order by such a scheme).
    """

    def make() -> list[RowBlock]:
        blocks = operator.row_blocks(count)
        return [blocks[i].to(like.device) for i in visiting_order(count)]

    return memo.get(operator, ("blocks", count, placement(like)), make)


def visiting_order(count: int) -> list[int]:
    """`0, s, 2s, … mod count`, with `s` near the golden section of `count` and coprime to it."""
    target = round(count * (3 - 5**0.5) / 2)
    stride = min((s for s in range(1, count + 1) if math.gcd(s, count) == 1), key=lambda s: abs(s - target))
    return [i * stride % count for i in range(count)]


def block_gradient(problem: Problem, block: RowBlock, v: Tensor) -> Tensor:
    """`∇_v D_b(v, y_b)` of a fidelity that is a sum over bins, weights of its own included.

    The other bins get the measured values, where every such fidelity is finite.
    """
    y = problem.measurement
    index = block.index.to(y.device)
    whole = y.to(v.dtype).index_copy(block.axis, index, v)
    return block.restrict(problem.fidelity.gradient(whole, y))


def block_norms(blocks: list[RowBlock]) -> Tensor:
    """`‖A_b‖²` of each block, on the CPU."""
    return torch.tensor([block.norm() ** 2 for block in blocks], dtype=torch.float64)
