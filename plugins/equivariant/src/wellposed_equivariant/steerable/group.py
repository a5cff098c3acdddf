"""Finite groups of rotations of the plane."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from wellposed.errors import InputError


class PlaneGroup(ABC):
    """A finite group of orthogonal maps of the plane; its elements are the numbers `0 … order − 1`, 0 the identity."""

    order: int

    @abstractmethod
    def product(self) -> np.ndarray:
        """The multiplication table: entry `[g, h]` is the number of the element `g h`; shape `(order, order)`."""

    @abstractmethod
    def harmonic(self, frequency: int) -> np.ndarray:
        """How the elements act on the angular functions of one frequency, `(g φ)(x) = φ(g⁻¹ x)`.

        Of `cos fθ, sin fθ` (of the constant for frequency 0) the coefficients are multiplied by these orthogonal
        matrices, shape `(order, n, n)` with n = 2 (1).
        """

    @property
    @abstractmethod
    def exact(self) -> frozenset[str]:
        """Its largest subgroup that maps the pixel grid onto itself, as the attribute `equivariances` names it."""


@dataclass(frozen=True)
class Cyclic(PlaneGroup):
    """`C_N`: the rotations by multiples of `360°/N`, counter-clockwise (rows of an image go down).

    Raises `InputError` for `order < 1`.
    """

    order: int

    def __post_init__(self) -> None:
        if self.order < 1:
            raise InputError(f"a cyclic group has an order of at least 1; {self.order} was given")

    def product(self) -> np.ndarray:
        elements = np.arange(self.order)
        return (elements[:, None] + elements[None, :]) % self.order

    def harmonic(self, frequency: int) -> np.ndarray:
        if frequency == 0:
            return np.ones((self.order, 1, 1))
        angles = 2 * math.pi * frequency * np.arange(self.order) / self.order
        cos, sin = np.cos(angles), np.sin(angles)
        return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)

    @property
    def exact(self) -> frozenset[str]:
        largest = next((name for name, order in (("c4", 4), ("c2", 2)) if self.order % order == 0), None)
        return frozenset() if largest is None else frozenset({largest})
