"""Thresholding: the proximal map of the ℓ1 norm, and its variant that leaves the largest entries alone."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_threshold(v: Tensor, threshold: Tensor | float) -> Tensor:
    """`v − clip(v, −θ, θ)`, that is `sign(v)·max(|v| − θ, 0)`; a negative `θ` counts as 0."""
    limit = torch.as_tensor(threshold, dtype=v.dtype, device=v.device).clamp(min=0)
    return v - v.clamp(-limit, limit)


def select_support(v: Tensor, threshold: Tensor | float, fraction: float) -> Tensor:
    """Soft thresholding that lets the largest `fraction` of the entries of each sample pass unchanged.

    `v` is `(B, …)`. Of the `round(fraction · n)` entries of largest magnitude those above `θ` keep their value,
    all others are shrunk. Which ones these are is a constant to differentiation.

    Source: Chen, Liu, Wang and Yin 2018, Theoretical linear convergence of unfolded ISTA, section 3.2.
    """
    flat = v.flatten(1)
    count = round(fraction * flat.shape[1])
    shrunk = soft_threshold(v, threshold)
    if count < 1:
        return shrunk
    with torch.no_grad():
        size = flat.abs()
        largest = size.topk(count, dim=1, sorted=False).indices
        passes = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, largest, True)
        passes &= size > torch.as_tensor(threshold).clamp(min=0)
    return torch.where(passes.view_as(v), v, shrunk)
