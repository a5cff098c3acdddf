"""Images of ellipses, point-sampled at the pixels."""

from __future__ import annotations

import torch
from torch import Tensor

#: Values are rounded to this, so that sums of them are exact and depend on no order.
_QUANTUM = 2.0**-40


def render_ellipses(ellipses: Tensor, size: int) -> Tensor:
    """The sum of ellipses `(n, 6)`: value, half-axes `a`, `b`, centre `x`, `y`, rotation; `(size, size)`, float64.

    A pixel gets the value of each ellipse that its point lies in, `((u/a)² + (v/b)² ≤ 1)`; the points are
    a grid over `[−1, 1]²` that has its outermost points on the border (the convention of ODL's phantoms).
    x to the right, y up, row 0 at the top; rotation counter-clockwise in radians. Half-axes must not be 0.

    Each ellipse meets a row in an interval, whose ends have a closed form: the work is ellipses × rows.
    """
    value, a, b, cx, cy, angle = ellipses.double().unbind(1)
    rows = torch.linspace(1, -1, size, dtype=torch.float64)
    cos, sin = torch.cos(angle), torch.sin(angle)
    reach = (cos * b).square() + (sin * a).square()
    dy = rows - cy[:, None]
    inside = 1 - dy.square() / ((sin * a).square() + (cos * b).square())[:, None]
    middle = cx[:, None] + dy * (cos * sin * (a.square() - b.square()) / reach)[:, None]
    half = (a * b / reach.sqrt())[:, None] * inside.clamp_min(0).sqrt()
    scale = (size - 1) / 2
    first = torch.ceil((middle - half + 1) * scale).clamp(0, size)
    behind = (torch.floor((middle + half + 1) * scale) + 1).clamp(0, size)
    behind = torch.where(inside >= 0, torch.maximum(behind, first), first)
    exact = torch.round(value / _QUANTUM) * _QUANTUM
    return _fill(first.long(), behind.long(), exact, size)


def _fill(first: Tensor, behind: Tensor, value: Tensor, size: int) -> Tensor:
    """Sum over `n` of `value[n]` on columns `first[n, row] … behind[n, row] − 1`: steps, then their running sum."""
    row = torch.arange(size) * (size + 1)
    weights = value[:, None].expand_as(first).flatten()
    steps = torch.bincount((row + first).flatten(), weights, minlength=size * (size + 1))
    steps -= torch.bincount((row + behind).flatten(), weights, minlength=size * (size + 1))
    return steps.view(size, size + 1).cumsum(1)[:, :size]
