"""Networks: learned maps that stand where a proximal map, a gradient or a post-processing stood."""

from __future__ import annotations

from .module import ComponentModule


class Network(ComponentModule):
    """An image-to-image network `(B, C_in, *spatial) → (B, C_out, *spatial)`."""
