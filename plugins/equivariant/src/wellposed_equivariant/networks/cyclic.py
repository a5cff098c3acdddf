"""The network of a learned proximal step that commutes with rotations."""

from __future__ import annotations

from ..layers.convolution import Padding
from ..layers.family import BuiltIn, Steerable
from ..steerable.group import Cyclic
from .proximal import ProximalNetwork


class CyclicProximal(ProximalNetwork):
    """Residual network that commutes with rotations by multiples of `360°/order`.

    `(B, in_channels, H, W) → (B, out_channels, H, W)`, `P = project ∘ (z ↦ z + σ(K z)) ∘ σ ∘ lift`, σ the leaky
    rectifier of slope 0.01; the hidden features are `fields` regular fields of `C_N`, N = `order`: N·`fields`
    channels. Rotations by multiples of 90° that the group holds commute exactly, up to rounding; others as well
    as the grid allows. With order 1 it is an ordinary network with band-limited kernels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        order: order N of the group of rotations.
        fields: hidden fields.
        blocks: number of residual blocks; they add nothing at first.
        kernel_size: side of all kernels, odd.
        padding_mode: how the image goes on beyond its edges.
        seed: of the initial weights.

    Raises `InputError` for sizes that make no network, and for inputs that are not real images of `in_channels`.
    """

    source = "Celledoni et al. 2021, Inverse Problems 37:085006; Weiler & Cesa 2019, arXiv:1911.08251 (layers)"
    #: What computes the convolutions.
    back_end: type[Steerable] = BuiltIn

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        order: int = 4,
        fields: int = 24,
        blocks: int = 1,
        kernel_size: int = 3,
        padding_mode: Padding = "replicate",
        seed: int = 0,
    ) -> None:
        family = self.back_end(Cyclic(order), fields, kernel_size, padding_mode)
        super().__init__(family, in_channels, out_channels, blocks, seed)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"fields": 3},
            {"in_channels": 2, "out_channels": 3, "order": 8, "fields": 2, "kernel_size": 5, "padding_mode": "zeros"},
        )
