"""Steerable convolutions in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..steerable.basis import steerable_basis
from ..steerable.group import PlaneGroup
from ..steerable.representation import Fields
from .convolution import Convolution, Padding


class SteerableParameters(Convolution):
    """The parameters of a steerable convolution: one weight per pair of fields and kernel of the basis.

    `weight` `(target fields, source fields, d)` multiplies `steerable_basis`, `bias` `(target fields, m)` the
    vectors that the target's representation leaves alone. Both back ends have these parameters, so that
    weights trained with one are loaded into the other.
    """

    def __init__(
        self, group: PlaneGroup, source: Fields, target: Fields, kernel_size: int, padding_mode: Padding
    ) -> None:
        super().__init__(padding_mode)
        basis = steerable_basis(group, source.representation, target.representation, kernel_size)
        self.weight = nn.Parameter(torch.zeros(target.count, source.count, len(basis)))
        self.bias = nn.Parameter(torch.zeros(target.count, len(target.representation.invariant(group))))

    def initialise(self, generator: torch.Generator, gain: float) -> None:
        with torch.no_grad():
            self.weight.normal_(0, gain / self.weight[0].numel() ** 0.5, generator=generator)
            self.bias.zero_()

    def clear(self) -> None:
        with torch.no_grad():
            self.weight.zero_()
            self.bias.zero_()


class SteerableConvolution(SteerableParameters):
    """A convolution from `source` to `target` fields that commutes with the group; kernel `Σ_d w[·, ·, d] K_d`."""

    def __init__(
        self, group: PlaneGroup, source: Fields, target: Fields, kernel_size: int, padding_mode: Padding
    ) -> None:
        super().__init__(group, source, target, kernel_size, padding_mode)
        basis = steerable_basis(group, source.representation, target.representation, kernel_size)
        invariant = target.representation.invariant(group)
        # Not saved: they follow from the settings.
        self.register_buffer("basis", torch.tensor(basis, dtype=torch.float32), persistent=False)
        self.register_buffer("invariant", torch.tensor(invariant, dtype=torch.float32), persistent=False)

    basis: Tensor
    invariant: Tensor

    def expand(self) -> tuple[Tensor, Tensor]:
        targets, sources, _ = self.weight.shape
        _, rows, columns, size, _ = self.basis.shape
        kernel = torch.einsum("bcd,doiyx->bociyx", self.weight, self.basis)
        kernel = kernel.reshape(targets * rows, sources * columns, size, size)
        return kernel, (self.bias @ self.invariant).reshape(-1)
