"""What all convolutions here have in common, and the ordinary one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed.errors import InputError

#: How an image goes on beyond its edges. All of them turn with the image.
Padding = Literal["zeros", "reflect", "replicate", "circular"]


class Convolution(nn.Module, ABC):
    """A convolution `(B, C_in, H, W) → (B, C_out, H, W)` whose kernel may be made of fewer numbers.

    A subclass has parameters and says by `expand` which kernel and bias they stand for.
    """

    def __init__(self, padding_mode: Padding) -> None:
        super().__init__()
        self.padding_mode: Padding = padding_mode

    @abstractmethod
    def expand(self) -> tuple[Tensor, Tensor]:
        """The kernel `(C_out, C_in, k, k)` and the bias `(C_out,)`."""

    @abstractmethod
    def initialise(self, generator: torch.Generator, gain: float) -> None:
        """Draw new parameters, so that white input of variance 1 gives output of variance `gain²`; bias 0."""

    @abstractmethod
    def clear(self) -> None:
        """Set all parameters to zero."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, bias = self.expand()
        return convolved(x, kernel, bias, self.padding_mode)

    def export(self) -> OrdinaryConvolution:
        """The same map as an ordinary convolution, with a kernel of its own."""
        with torch.no_grad():
            kernel, bias = self.expand()
        plain = OrdinaryConvolution(kernel.shape[1], kernel.shape[0], kernel.shape[2], self.padding_mode)
        plain.to(kernel)
        plain.weight.data.copy_(kernel)
        plain.bias.data.copy_(bias)
        return plain


class OrdinaryConvolution(Convolution):
    """A convolution without symmetry: every entry of the kernel is a parameter."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, padding_mode: Padding) -> None:
        super().__init__(padding_mode)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def expand(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.bias

    def initialise(self, generator: torch.Generator, gain: float) -> None:
        with torch.no_grad():
            self.weight.normal_(0, gain / self.weight[0].numel() ** 0.5, generator=generator)
            self.bias.zero_()

    def clear(self) -> None:
        with torch.no_grad():
            self.weight.zero_()
            self.bias.zero_()


def convolved(x: Tensor, kernel: Tensor, bias: Tensor, padding_mode: Padding) -> Tensor:
    """The convolution of the same size, with the image continued by `padding_mode`."""
    margin = kernel.shape[-1] // 2
    if padding_mode == "zeros":
        return functional.conv2d(x, kernel, bias, padding=margin)
    if padding_mode == "reflect" and min(x.shape[2:]) <= margin:
        raise InputError(
            f"an image of {x.shape[2]} × {x.shape[3]} pixels cannot be reflected {margin} pixels beyond its edges; "
            f"take the padding_mode 'replicate' or a smaller kernel_size"
        )
    return functional.conv2d(functional.pad(x, [margin] * 4, mode=padding_mode), kernel, bias)
