"""What every tomograph has in common: projection, exact adjoint, blocks of views."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.operator import LinearOperator, RowBlock, check_block_count
from wellposed.space import Space

from .engine import EngineName
from .geometry import Geometry
from .projector import Projector, alike

#: The axis of the views, counted from the end, so that it is right with and without a batch.
_VIEW_AXIS = -2


class Tomography(LinearOperator):
    """Line integrals `(B, C, rows, columns) → (B, C, views, bins)` of a scan geometry."""

    #: `pinv` is filtered backprojection, which is no least-squares solution.
    direct_inversion = True

    def __init__(self, geometry: Geometry, channels: int, engine: EngineName, memory_limit: float) -> None:
        if channels < 1:
            raise InputError(f"an image needs at least one channel; channels={channels} was given")
        if memory_limit < 0:
            raise InputError(f"memory_limit is in MiB and not negative; {memory_limit} was given")
        super().__init__(Space((channels, *geometry.shape)), Space((channels, geometry.views, geometry.bins)))
        self.geometry = geometry
        self.projector = Projector(geometry, engine, memory_limit)
        self._blocks: dict[int, tuple[Tensor, list[ViewBlock]]] = {}

    def _forward(self, x: Tensor) -> Tensor:
        return self.projector(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.projector.adjoint(y)

    def row_blocks(self, count: int) -> list[ViewBlock]:
        """`count` blocks of interleaved views `b, b + count, …`; each computes its own views alone.

        The blocks are kept, and with them what their engines store, at most `memory_limit` in all.
        """
        check_block_count(self, count, self.geometry.views)
        here = self.projector.reference
        known = self._blocks.get(count)
        if known is None or not alike(known[0], here):
            views = torch.arange(self.geometry.views, device=here.device)
            self._blocks = {count: (here, [ViewBlock(self, views[b::count], count) for b in range(count)])}
        return self._blocks[count][1]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_blocks": {}}


class ViewBlock(RowBlock):
    """Some views of a scan: an operator of its own, that computes those views only."""

    def __init__(self, whole: Tomography, views: Tensor, count: int) -> None:
        channels, _, bins = whole.range.shape
        super().__init__(whole.domain, Space((channels, len(views), bins)), _VIEW_AXIS, views)
        self.geometry = whole.geometry.select(views.cpu().numpy())
        parent = whole.projector
        self.projector = Projector(self.geometry, parent.engine_name, parent.memory_limit / count)
        self.projector.to(parent.reference)

    def _forward(self, x: Tensor) -> Tensor:
        return self.projector(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.projector.adjoint(y)


def row_sums(operator: LinearOperator) -> Tensor:
    """`A 1` `(1, *range.shape)`: the length of each line inside the image, the rows' sums of SART."""
    return operator.forward(_ones(operator, operator.domain))


def column_sums(operator: LinearOperator) -> Tensor:
    """`A* 1` `(1, *domain.shape)`: how much all lines see of each pixel, the columns' sums of SART."""
    return operator.adjoint(_ones(operator, operator.range))


def _ones(operator: LinearOperator, space: Space) -> Tensor:
    like = next((b for b in operator.buffers() if b.is_floating_point()), space.zeros(0))
    return torch.ones((1, *space.shape), dtype=like.dtype, device=like.device)
