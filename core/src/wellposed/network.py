"""Networks: learned maps that stand where a proximal map, a gradient or a post-processing stood."""

from __future__ import annotations

from torch import nn

from .interface import Component


class Network(Component, nn.Module):
    """An image-to-image network `(B, C_in, *spatial) → (B, C_out, *spatial)`."""
