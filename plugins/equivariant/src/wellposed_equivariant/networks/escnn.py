"""The equivariant network on escnn."""

from __future__ import annotations

from ..escnn_loader import why_not_escnn
from ..layers.escnn import EscnnBackEnd
from .cyclic import CyclicProximal


class EscnnProximal(CyclicProximal):
    """The network `cyclic-proximal-network` computed by escnn: same arguments, same weights, same images.

    `P = project ∘ (z ↦ z + σ(K z)) ∘ σ ∘ lift`, `(B, in_channels, H, W) → (B, out_channels, H, W)`, with
    `escnn.nn.R2Conv` for the convolutions. Weights trained with one of the two are loaded into the other.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        order: order N of the group of rotations.
        fields: hidden fields.
        blocks: number of residual blocks; they add nothing at first.
        kernel_size: side of all kernels, odd.
        padding_mode: how the image goes on beyond its edges.
        seed: of the initial weights.

    Raises `InputError` where escnn is not installed, with the command that does it, for sizes that make no
    network, and for inputs that are not real images of `in_channels`.
    """

    source = "Cesa, Lang & Weiler 2022, A program to build E(N)-equivariant steerable CNNs, ICLR (escnn 1.0.11)"
    back_end = EscnnBackEnd

    @classmethod
    def lacking(cls) -> str | None:
        return why_not_escnn()

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        if cls.lacking():
            return ()  # nothing can be built, which is no fault of this class
        return ({"fields": 3}, {"in_channels": 2, "out_channels": 3, "order": 8, "fields": 2, "padding_mode": "zeros"})
