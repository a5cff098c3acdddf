"""The network of a learned proximal step, and its ordinary variant."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed.dataset import generator_of
from wellposed.errors import InputError
from wellposed.network import Network

from ..layers.convolution import Convolution, Padding
from ..layers.family import ConvolutionFamily, Ordinary

#: Slope of the leaky rectifier for negative numbers, and what keeps the variance of its output.
_SLOPE = 0.01
_GAIN = (2.0 / (1 + _SLOPE**2)) ** 0.5


class ProximalNetwork(Network):
    """`P = project ∘ (z ↦ z + σ(K z)) ∘ σ ∘ lift` with convolutions of one family, σ the leaky rectifier.

    Images `(B, in_channels, H, W)` to images `(B, out_channels, H, W)`. It serves as the pattern of others,
    too: `like` makes a new one of the same settings for other numbers of channels.
    """

    source = "Celledoni et al. 2021, Equivariant neural networks for inverse problems, Inverse Problems 37:085006"
    lift: Convolution
    project: Convolution

    def __init__(self, family: ConvolutionFamily, in_channels: int, out_channels: int, blocks: int, seed: int) -> None:
        super().__init__()
        for name, value, least in (
            ("in_channels", in_channels, 1),
            ("out_channels", out_channels, 1),
            ("blocks", blocks, 0),
            ("channels of its hidden layers", family.channels, 1),
        ):
            if value < least:
                raise InputError(f"{type(self).__name__} needs {name} ≥ {least}; {value} was given")
        self.family, self.in_channels, self.out_channels = family, in_channels, out_channels
        self.equivariances = family.equivariances
        self.lift = family.lift(in_channels)
        self.blocks = nn.ModuleList(family.between() for _ in range(blocks))
        self.project = family.project(out_channels)
        self._initialise(generator_of(seed, 0))

    @property
    def residual(self) -> list[Convolution]:
        """The convolutions of the residual blocks."""
        return cast("list[Convolution]", list(self.blocks))

    def like(self, in_channels: int, out_channels: int, seed: int) -> ProximalNetwork:
        """A network of these settings from `in_channels` to `out_channels`, with initial weights of its own."""
        return ProximalNetwork(self.family, in_channels, out_channels, len(self.blocks), seed)

    def forward(self, x: Tensor) -> Tensor:
        """The network's image of `x`."""
        if x.ndim != 4 or x.shape[1] != self.in_channels or x.is_complex():
            raise InputError(
                f"this network takes real images (batch, {self.in_channels}, rows, columns); got {x.dtype} of shape "
                f"{tuple(x.shape)}"
            )
        z = functional.leaky_relu(self.lift(x), _SLOPE)
        for block in self.blocks:
            z = z + functional.leaky_relu(block(z), _SLOPE)
        return self.project(z)

    def export(self) -> ProximalNetwork:
        """The same map with ordinary convolutions: nothing is expanded any more, and no other package needed."""
        kernel_size = self.lift.expand()[0].shape[-1]
        plain = OrdinaryProximal(
            self.in_channels,
            self.out_channels,
            self.family.channels,
            len(self.blocks),
            kernel_size,
            self.lift.padding_mode,
        )
        plain.lift, plain.project = self.lift.export(), self.project.export()
        plain.blocks = nn.ModuleList(block.export() for block in self.residual)
        return plain.train(self.training)

    def _initialise(self, generator: torch.Generator) -> None:
        """He's initial weights; the residual blocks add nothing at first."""
        self.lift.initialise(generator, 1.0)
        for block in self.residual:
            block.clear()
        self.project.initialise(generator, _GAIN)


class OrdinaryProximal(ProximalNetwork):
    """Residual network of ordinary convolutions, `(B, in_channels, H, W) → (B, out_channels, H, W)`.

    `P = project ∘ (z ↦ z + σ(K z)) ∘ σ ∘ lift`, σ the leaky rectifier of slope 0.01.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of the hidden layers.
        blocks: number of residual blocks; they add nothing at first.
        kernel_size: side of all kernels, odd.
        padding_mode: how the image goes on beyond its edges.
        seed: of the initial weights.

    Raises `InputError` for sizes that make no network, and for inputs that are not real images of `in_channels`.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 96,
        blocks: int = 1,
        kernel_size: int = 3,
        padding_mode: Padding = "replicate",
        seed: int = 0,
    ) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(f"proximal-network needs an odd kernel_size; {kernel_size} was given")
        super().__init__(Ordinary(width, kernel_size, padding_mode), in_channels, out_channels, blocks, seed)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"width": 8}, {"in_channels": 3, "out_channels": 2, "width": 4, "blocks": 2, "padding_mode": "zeros"})
