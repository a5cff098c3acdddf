"""Pairs of filters on periodic signals: one level of a wavelet transform along one axis, and its transpose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Periodic:
    """A tensor with room for its periodic continuation along one axis.

    Write the tensor into `inside`, then `close()` fills the margins; `whole` is all of it, contiguous.
    """

    def __init__(self, like: Tensor, shape: Sequence[int], axis: int, before: int, after: int) -> None:
        self.axis, self.before, self.after, self.size = axis, before, after, shape[axis]
        longer = list(shape)
        longer[axis] += before + after
        self.whole = like.new_empty(longer)
        self.inside = self.whole.narrow(axis, before, self.size)

    def close(self) -> Tensor:
        if max(self.before, self.after) <= self.size:
            first = self.inside.narrow(self.axis, self.size - self.before, self.before)
            last = self.inside.narrow(self.axis, 0, self.after)
        else:
            around = torch.arange(-self.before, self.size + self.after, device=self.whole.device) % self.size
            first = self.inside.index_select(self.axis, around[: self.before])
            last = self.inside.index_select(self.axis, around[self.before + self.size :])
        self.whole.narrow(self.axis, 0, self.before).copy_(first)
        self.whole.narrow(self.axis, self.before + self.size, self.after).copy_(last)
        return self.whole


class FilterPair:
    """The block-circulant matrix `y[2k + r] = Σ_w rows[r][w]·x[2k + 2·first + w]`, `r = 0, 1`.

    Applied to a signal with rows low-pass and high-pass filters it gives both bands, interleaved; its
    transpose is of the same form. Coefficients are kept in float64 and used in the signal's precision.
    """

    def __init__(self, rows: Sequence[Sequence[float]], first: int) -> None:
        self.rows, self.first = [list(map(float, row)) for row in rows], int(first)
        self.blocks = len(self.rows[0]) // 2
        self._matrices: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def transposed(self) -> FilterPair:
        """The matrix with entry `(2k + r, j)` moved to `(j, 2k + r)`."""
        rows = [[0.0] * (2 * self.blocks) for _ in range(2)]
        for r in range(2):
            for w, tap in enumerate(self.rows[r]):
                block, phase = divmod(w, 2)
                rows[phase][r + 2 * (self.blocks - 1 - block)] = tap
        return FilterPair(rows, -(self.first + self.blocks - 1))

    def room_on_axis(self, like: Tensor, shape: Sequence[int], axis: int) -> Periodic:
        """Where to write the interleaved signal for `on_axis`."""
        return Periodic(like, shape, axis, -2 * self.first, 2 * (self.first + self.blocks - 1))

    def room_on_phases(self, like: Tensor, shape: Sequence[int]) -> tuple[Periodic, Periodic]:
        """Where to write the phases of the signal, of `shape` each, for `on_phases`."""
        axis, after = len(shape) - 1, self.first + self.blocks - 1
        return tuple(Periodic(like, shape, axis, -self.first, after) for _ in range(2))  # type: ignore[return-value]

    def on_axis(self, signal: Periodic) -> Tensor:
        """The product along an axis that is not the last one, interleaved as the signal was.

        Rows are combined by products of the 2 × width matrix with overlapping windows of rows, which
        are views.
        """
        matrix = self._matrix(signal.whole)
        whole, axis = signal.close(), signal.axis
        inner, length = math.prod(whole.shape[axis + 1 :]), whole.shape[axis]
        rows = whole.view(-1, inner)
        # The windows run over all signals at once; those that straddle two are dropped at the end.
        count = len(rows) // 2 - (self.blocks - 1)
        windows = rows.as_strided((count, 2 * self.blocks, inner), (2 * inner, inner, 1))
        result = rows.new_empty(len(rows) // 2, 2, inner)
        torch.bmm(matrix.expand(count, -1, -1), windows, out=result[:count])
        kept = result.view(-1, length, inner)[:, : signal.size]
        return kept.unflatten(0, whole.shape[:axis]).unflatten(-1, whole.shape[axis + 1 :])

    def on_phases(self, phases: tuple[Periodic, Periodic]) -> tuple[Tensor, Tensor]:
        """Rows 0 and 1 of the product along the last axis, for the even and odd entries of a signal.

        Shifted multiples are added one by one: along the contiguous axis that beats products with small
        matrices.
        """
        half = phases[0].size
        shifted = [p.close().unfold(-1, half, 1).unbind(-2) for p in phases]
        return self._combine(0, shifted), self._combine(1, shifted)

    def _matrix(self, like: Tensor) -> Tensor:
        """The rows as a tensor, kept: to bring numbers to a GPU waits for all that it has still to do."""
        place = like.device, like.dtype
        if place not in self._matrices:
            with torch.inference_mode(False):
                self._matrices[place] = torch.tensor(self.rows, dtype=like.dtype, device=like.device)
        return self._matrices[place]

    def _combine(self, row: int, shifted: Sequence[Sequence[Tensor]]) -> Tensor:
        terms = [(tap, shifted[w % 2][w // 2]) for w, tap in enumerate(self.rows[row]) if tap != 0.0]
        tap, part = terms[0]
        total = part * tap
        for tap, part in terms[1:]:
            total.add_(part, alpha=tap)
        return total


def analysis_pair(scaling: Sequence[float]) -> FilterPair:
    """Low pass `Σ_j h[j] x[2k + L/2 − j]` and the high pass with `g[j] = (−1)^{j+1} h[L − 1 − j]`."""
    low = list(scaling)[::-1]
    high = [-((-1) ** j) * tap for j, tap in enumerate(low)][::-1]
    start = 1 - len(low) // 2
    lead, tail = ([0.0], [0.0]) if start % 2 else ([], [])
    return FilterPair([lead + low + tail, lead + high + tail], start // 2)
