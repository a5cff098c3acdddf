"""Residual networks: a network that learns what is to be added to its input."""

from __future__ import annotations

from torch import Tensor

from wellposed.errors import InputError
from wellposed.network import Network


class Residual(Network):
    """`x ↦ x + N(x)`, `(B, C, *spatial) → (B, C, *spatial)`, for a `network` N that keeps the shape.

    Raises `InputError` where the network changes the shape.
    """

    source = "He et al. 2016, arXiv:1512.03385; Jin et al. 2017, IEEE TIP 26:4509 (of a filtered backprojection)"

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"network": {"use": "unet", "width": 8, "scales": 1, "groups": 2}},)

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the network adds to it."""
        added = self.network(x)
        if added.shape != x.shape:
            raise InputError(
                f"residual adds its network's output to the input; {type(self.network).__name__} made "
                f"{tuple(added.shape)} of {tuple(x.shape)}"
            )
        return x + added
