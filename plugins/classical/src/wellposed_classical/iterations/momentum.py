"""The momentum of FISTA: its sequence, its damping by strong convexity, and restarts."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.space import inner


def accelerated(t: Tensor, step: Tensor, smooth_convexity: Tensor, proximal_convexity: Tensor) -> tuple[Tensor, Tensor]:
    """`t⁺` and `β` of each sample, `(B,)`: Chambolle and Pock 2016, algorithm 5.

    With `q = sμ/(1 + sμ_g)`, `t⁺ = (1 − q t² + √((1 − q t²)² + 4t²))/2` and
    `β = (t − 1)/t⁺ · (1 + sμ_g − t⁺sμ)/(1 − sμ_f)`.
    """
    forward, backward = step * smooth_convexity, step * proximal_convexity
    q = (forward + backward) / (1 + backward)
    rest = 1 - q * t**2
    following = (rest + torch.sqrt(rest**2 + 4 * t**2)) / 2
    tiny = torch.finfo(t.dtype).eps
    damping = (1 + backward - following * (forward + backward)) / (1 - forward).clamp_min(tiny)
    return following, (t - 1) / following * damping.clamp(0.0, 1.0)


def restarted(z: Tensor, x: Tensor, previous: Tensor, t: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
    """`t` and `β`, back at 1 and 0 for samples whose step `z → x` points against `previous → x`.

    O'Donoghue and Candès 2015, eq. (12).
    """
    uphill = inner(z - x, x - previous) > 0
    return torch.where(uphill, 1.0, t), torch.where(uphill, 0.0, momentum)
