"""Back substitution along wavefronts: exact, batched, on any device.

Pixel `(i, j)` needs the pixels of its half neighbourhood, which lie at `t = j + (r+1)·i` further on. So all pixels
of one `t` are solved at once, `W + (r+1)(H−1)` times: 253 small steps at 64 × 64 and radius 2, instead of 4096.
A sparse triangular solve of scipy would be as fast for one image on a CPU, but knows neither batches, CUDA nor
gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .neighbourhood import channel_pairs, half_neighbourhood, padded, shifted


def solve_upper(
    log_diagonal: Tensor, neighbours: Tensor | None, cross: Tensor | None, radius: int, rhs: Tensor
) -> Tensor:
    """`L⁻ᵀ rhs` of the factor with these coefficients (see `Factor`), differentiable once in all of them."""
    return _Solve.apply(log_diagonal, neighbours, cross, rhs, radius)  # type: ignore[no-any-return]


class _Solve(torch.autograd.Function):
    """`x = M⁻¹ b`; with `y = M⁻ᵀ g` the derivatives are `y` by `b` and `−y_p x_q` by the entry `M_{pq}`."""

    @staticmethod
    def forward(
        ctx: Any, log_diagonal: Tensor, neighbours: Tensor | None, cross: Tensor | None, rhs: Tensor, radius: int
    ) -> Tensor:
        x = _back_substitution(log_diagonal.exp(), neighbours, cross, radius, rhs)
        ctx.save_for_backward(log_diagonal, neighbours, cross, x)
        ctx.radius = radius
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        log_diagonal, neighbours, cross, x = ctx.saved_tensors
        y = _forward_substitution(log_diagonal.exp(), neighbours, cross, ctx.radius, grads[0])
        by_neighbours = by_cross = None
        if neighbours is not None:
            frame = padded(x, ctx.radius)
            offsets = half_neighbourhood(ctx.radius)
            by_neighbours = torch.stack([-y * shifted(frame, ctx.radius, offset) for offset in offsets], 2)
        if cross is not None:
            by_cross = torch.stack([-y[:, c] * x[:, d] for c, d in channel_pairs(x.shape[1])], 1)
        return -y * log_diagonal.exp() * x, by_neighbours, by_cross, y, None


def _forward_substitution(
    diagonal: Tensor, neighbours: Tensor | None, cross: Tensor | None, radius: int, rhs: Tensor
) -> Tensor:
    """`L⁻¹ rhs`: read backwards, in space and channels, a lower triangular matrix is an upper one."""
    arriving = None
    if neighbours is not None:
        frame = padded(neighbours, radius)
        offsets = half_neighbourhood(radius)
        moved = [shifted(frame[:, :, f], radius, (-a, -d)) for f, (a, d) in enumerate(offsets)]
        arriving = torch.stack(moved, 2).flip(1, -2, -1)
    if cross is not None:
        pairs = channel_pairs(rhs.shape[1])
        last = rhs.shape[1] - 1
        order = [pairs.index((last - d, last - c)) for c, d in pairs]
        cross = cross[:, order].flip(-2, -1)
    back = (1, -2, -1)
    return _back_substitution(diagonal.flip(back), arriving, cross, radius, rhs.flip(back)).flip(back)


def _back_substitution(
    diagonal: Tensor, neighbours: Tensor | None, cross: Tensor | None, radius: int, rhs: Tensor
) -> Tensor:
    """`x_p = (b_p − Σ_f w_{f,p} x_{p+f} − Σ_d k_{p,cd} x_{p,d}) / diagonal_p`, one wavefront after another."""
    batch, channels, height, width = rhs.shape
    slope = radius + 1
    fronts = width + slope * (height - 1)
    b = _by_front(rhs / diagonal, slope)
    weights = _window(neighbours, diagonal, radius)
    w = None if weights is None else _by_front(weights, slope)
    k = None if cross is None else _by_front(_scaled_cross(cross, diagonal), slope)
    # Frames of zeros: the fronts before the first and the rows below the last one.
    x = rhs.new_zeros((fronts + radius * (slope + 1) + radius, height + radius, channels, batch))
    for t in range(fronts - 1, -1, -1):
        first, last = max(0, -((width - 1 - t) // slope)), min(height - 1, t // slope)
        rows = slice(first, last + 1)
        value = b[t, rows]
        if w is not None:
            value = value - (_behind(x, t, first, last, radius) * w[t, :, :, rows]).sum((0, 1))
        if k is not None:
            value = _through_channels(value, k[t, rows])
        x[t + radius, rows] = value
    return _by_pixel(x[radius : radius + fronts, :height], slope, width)


def _behind(x: Tensor, t: int, first: int, last: int, radius: int) -> Tensor:
    """The values at `p + (a, d)` for `a = 0 … r`, `d = −r … r` and the pixels `p` of front `t`, as a view.

    At the offsets that are not after `p` nothing is solved yet, and their weights are zero.
    """
    front, row, channel, sample = x.stride()
    size = (radius + 1, 2 * radius + 1, last - first + 1, x.shape[2], x.shape[3])
    strides = ((radius + 1) * front + row, front, row, channel, sample)
    return x.as_strided(size, strides, t * front + first * row)


def _window(neighbours: Tensor | None, diagonal: Tensor, radius: int) -> Tensor | None:
    """Weights over the diagonal `(r+1, 2r+1, B, C, H, W)`, zero at the offsets not after the pixel."""
    if neighbours is None:
        return None
    batch, channels, _, height, width = neighbours.shape
    window = neighbours.new_zeros((radius + 1, 2 * radius + 1, batch, channels, height, width))
    for f, (a, d) in enumerate(half_neighbourhood(radius)):
        torch.div(neighbours[:, :, f], diagonal, out=window[a, d + radius])
    return window


def _scaled_cross(cross: Tensor, diagonal: Tensor) -> Tensor:
    first = [c for c, _ in channel_pairs(diagonal.shape[1])]
    return cross / diagonal[:, first]


def _through_channels(value: Tensor, cross: Tensor) -> Tensor:
    """Solve the channels of each pixel, the last first; `value` is `(rows, C, B)`."""
    channels = list(value.unbind(1))
    for k, (c, d) in reversed(list(enumerate(channel_pairs(len(channels))))):
        channels[c] = channels[c] - cross[:, k] * channels[d]
    return torch.stack(channels, 1)


def _by_front(image: Tensor, slope: int) -> Tensor:
    """`(…, B, C, H, W)` sorted by wavefront: `(fronts, …, H, C, B)`, zero where a row has no pixel on a front."""
    *lead, batch, channels, height, width = image.shape
    fronts = width + slope * (height - 1)
    out = image.new_zeros((fronts, *lead, height, channels, batch))
    view = _diagonals(out, slope, width)
    view.copy_(image.movedim((-1, -2, -3, -4), (0, -3, -2, -1)))
    return out


def _by_pixel(sorted_: Tensor, slope: int, width: int) -> Tensor:
    """The inverse of `_by_front`: `(fronts, H, C, B)` to `(B, C, H, W)`."""
    return _diagonals(sorted_, slope, width).permute(3, 2, 1, 0).contiguous()


def _diagonals(sorted_: Tensor, slope: int, width: int) -> Tensor:
    """The view `(W, …, H, C, B)` of a tensor `(fronts, …, H, C, B)`, column `j` of row `i` from front `j + slope·i`."""
    strides = list(sorted_.stride())
    strides[-3] += slope * strides[0]
    size = (width, *sorted_.shape[1:])
    return sorted_.as_strided(size, strides, sorted_.storage_offset())
