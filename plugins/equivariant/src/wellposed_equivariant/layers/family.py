"""Families of convolutions: what a network asks for its layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..steerable.group import PlaneGroup
from ..steerable.representation import Fields, Regular, Trivial
from .convolution import Convolution, OrdinaryConvolution, Padding
from .steerable import SteerableConvolution


class ConvolutionFamily(ABC):
    """Makes the convolutions of a network: from images to hidden features, between these, and back to images.

    Features must be of a kind on which a nonlinearity of each channel alone is allowed.
    """

    #: Channels of the hidden features.
    channels: int
    #: The groups under which networks of these layers are equivariant, exactly.
    equivariances: frozenset[str]
    #: Whether the layers commute with a group at all, exactly on the grid or not.
    symmetric: bool

    @abstractmethod
    def lift(self, images: int) -> Convolution:
        """From `images` grey-value channels to features."""

    @abstractmethod
    def between(self) -> Convolution:
        """From features to features."""

    @abstractmethod
    def project(self, images: int) -> Convolution:
        """From features to `images` grey-value channels."""


@dataclass(frozen=True)
class Ordinary(ConvolutionFamily):
    """Convolutions without symmetry."""

    channels: int
    kernel_size: int
    padding_mode: Padding
    equivariances = frozenset()
    symmetric = False

    def lift(self, images: int) -> Convolution:
        return OrdinaryConvolution(images, self.channels, self.kernel_size, self.padding_mode)

    def between(self) -> Convolution:
        return OrdinaryConvolution(self.channels, self.channels, self.kernel_size, self.padding_mode)

    def project(self, images: int) -> Convolution:
        return OrdinaryConvolution(self.channels, images, self.kernel_size, self.padding_mode)


class Steerable(ConvolutionFamily):
    """Steerable convolutions with `fields` regular hidden fields; `_convolution` is the back end."""

    symmetric = True

    def __init__(self, group: PlaneGroup, fields: int, kernel_size: int, padding_mode: Padding) -> None:
        self.group, self.kernel_size = group, kernel_size
        self.padding_mode: Padding = padding_mode
        self.hidden = Fields(fields, Regular())
        self.channels = self.hidden.channels(group)
        self.equivariances = group.exact

    def lift(self, images: int) -> Convolution:
        return self._convolution(Fields(images, Trivial()), self.hidden)

    def between(self) -> Convolution:
        return self._convolution(self.hidden, self.hidden)

    def project(self, images: int) -> Convolution:
        return self._convolution(self.hidden, Fields(images, Trivial()))

    @abstractmethod
    def _convolution(self, source: Fields, target: Fields) -> Convolution:
        """A convolution from `source` to `target` fields."""


class BuiltIn(Steerable):
    """Our own steerable convolutions."""

    def _convolution(self, source: Fields, target: Fields) -> Convolution:
        return SteerableConvolution(self.group, source, target, self.kernel_size, self.padding_mode)
