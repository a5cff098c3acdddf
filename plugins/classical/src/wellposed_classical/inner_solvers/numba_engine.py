"""The iteration of total-variation denoising fused into one pass over memory (the `fast` extra, Numba).

Real 2-D images on the CPU. A row of the dual field is updated, then the row of the image that depends
on it, while both are in the first-level cache. The row loops are written apart so that the compiler
turns each into vector instructions. First use compiles for about 2 s per precision; Numba keeps the
result on disk where it can.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from .step_sizes import Coupling, Steps

_ASSUME = {"contract", "nsz", "arcp", "reassoc", "nnan", "ninf"}  # images are finite here


def _compiled(function: Callable) -> Any:
    """Compile on first use, kept on disk; where no folder can be written, in memory alone."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": _ASSUME}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(cache=False, **options)(function)


class NumbaEngine:
    """A batch of images `(N, 1, H, W)`; each is worked on alone, on as many threads as torch uses."""

    def __init__(self, y: Tensor, coupling: Coupling) -> None:
        self.isotropic = coupling == "isotropic"
        self.steps = Steps(2)
        self.data = y.contiguous()
        self.image, self.ahead = self.data.clone(), self.data.clone()
        self.field = torch.zeros_like(self.data).expand(-1, 2, -1, -1).contiguous()

    def iterate(self, count: int) -> None:
        taken = self.steps.take(count)
        numbers = np.array([(s.sigma, s.relax, s.extrapolate) for s in taken], dtype=self.data.numpy().dtype)
        self._each(lambda y, x, ahead, p: _iterate(y, x, ahead, p, numbers, self.isotropic))

    def result(self) -> tuple[Tensor, ...]:
        return (self.image,)

    def relative_gap(self) -> Tensor:
        return torch.tensor(
            self._each(lambda y, x, ahead, p: _relative_gap(y, x, p, self.isotropic)), dtype=self.image.dtype
        )

    def keep(self, index: Tensor) -> None:
        self.data, self.image = self.data[index], self.image[index]
        self.ahead, self.field = self.ahead[index], self.field[index]

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return (
            self.data[:, 0].numpy(),
            self.image[:, 0].numpy(),
            self.ahead[:, 0].numpy(),
            self.field.numpy(),
        )

    def _each(self, work: Callable[..., Any]) -> list:
        jobs = list(zip(*self._arrays(), strict=True))
        threads = min(len(jobs), torch.get_num_threads())
        if threads < 2:
            return [work(*job) for job in jobs]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda job: work(*job), jobs))


@_compiled
def _iterate(y, x, ahead, p, steps, isotropic):  # type: ignore[no-untyped-def]
    height = y.shape[0]
    nothing = np.zeros(y.shape[1], y.dtype)
    for k in range(len(steps)):
        sigma, relax, extrapolate = steps[k, 0], steps[k, 1], steps[k, 2]
        for i in range(height):
            below = ahead[i + 1] if i < height - 1 else ahead[i]
            if isotropic:
                _dual_row(p[0, i], p[1, i], ahead[i], below, sigma)
            else:
                _dual_row_anisotropic(p[0, i], p[1, i], ahead[i], below, sigma)
            above = p[0, i - 1] if i > 0 else nothing
            _primal_row(x[i], ahead[i], y[i], p[0, i], above, p[1, i], relax, extrapolate)


@_compiled
def _dual_row(p, q, row, below, sigma):  # type: ignore[no-untyped-def]
    one = row.dtype.type(1)
    last = len(row) - 1
    for j in range(last):
        a = p[j] + sigma * (below[j] - row[j])
        b = q[j] + sigma * (row[j + 1] - row[j])
        scale = one / np.sqrt(max(one, a * a + b * b))
        p[j] = a * scale
        q[j] = b * scale
    a = p[last] + sigma * (below[last] - row[last])
    p[last] = a / max(one, abs(a))


@_compiled
def _dual_row_anisotropic(p, q, row, below, sigma):  # type: ignore[no-untyped-def]
    one = row.dtype.type(1)
    last = len(row) - 1
    for j in range(last):
        p[j] = min(one, max(-one, p[j] + sigma * (below[j] - row[j])))
        q[j] = min(one, max(-one, q[j] + sigma * (row[j + 1] - row[j])))
    p[last] = min(one, max(-one, p[last] + sigma * (below[last] - row[last])))


@_compiled
def _primal_row(x, ahead, y, p, above, q, relax, extrapolate):  # type: ignore[no-untyped-def]
    change = y[0] + (p[0] - above[0] + q[0]) - x[0]
    ahead[0] = x[0] + extrapolate * change
    x[0] = x[0] + relax * change
    for j in range(1, len(x)):
        change = y[j] + (p[j] - above[j] + q[j] - q[j - 1]) - x[j]
        ahead[j] = x[j] + extrapolate * change
        x[j] = x[j] + relax * change


@_compiled
def _relative_gap(y, x, p, isotropic):  # type: ignore[no-untyped-def]
    height = y.shape[0]
    nothing = np.zeros(y.shape[1], y.dtype)
    gap, objective = 0.0, 0.0
    for i in range(height):
        below = x[i + 1] if i < height - 1 else x[i]
        above = p[0, i - 1] if i > 0 else nothing
        length, excess = _variation_of_row(p[0, i], p[1, i], x[i], below, isotropic)
        square, distance = _squares_of_row(x[i], y[i], p[0, i], above, p[1, i])
        gap += 0.5 * square + excess
        objective += 0.5 * distance + length
    return gap / objective if objective > 0 else 0.0


@_compiled
def _variation_of_row(p, q, row, below, isotropic):  # type: ignore[no-untyped-def]
    """`Σ|∇x|` and `Σ|∇x| − <∇x, p>`."""
    zero = row.dtype.type(0)
    length, excess = zero, zero
    for j in range(len(row)):
        a = below[j] - row[j]
        b = row[min(j + 1, len(row) - 1)] - row[j]
        size = np.sqrt(a * a + b * b) if isotropic else abs(a) + abs(b)
        length += size
        excess += size - a * p[j] - b * q[j]
    return length, excess


@_compiled
def _squares_of_row(x, y, p, above, q):  # type: ignore[no-untyped-def]
    """`‖x − y + ∇*p‖²` and `‖x − y‖²`."""
    zero = x.dtype.type(0)
    square, distance = zero, zero
    for j in range(len(x)):
        left = q[j - 1] if j > 0 else zero
        away = x[j] - y[j]
        rest = away - (p[j] - above[j] + q[j] - left)
        square += rest * rest
        distance += away * away
    return square, distance
