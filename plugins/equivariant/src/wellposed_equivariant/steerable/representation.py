"""Representations: how the numbers at one pixel of a field change when the image is turned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from .group import PlaneGroup


class Representation(ABC):
    """Orthogonal matrices `ρ(g)`, one per group element, that multiply as the elements do."""

    @abstractmethod
    def matrices(self, group: PlaneGroup) -> np.ndarray:
        """`ρ(g)` of every element, shape `(order, n, n)`."""

    def size(self, group: PlaneGroup) -> int:
        """Numbers per pixel, `n`."""
        return self.matrices(group).shape[1]

    def invariant(self, group: PlaneGroup) -> np.ndarray:
        """Orthonormal vectors that no element changes, `(m, n)`, m may be 0: what a bias may add."""
        mean = self.matrices(group).mean(0)
        values, vectors = np.linalg.eigh(mean)
        return vectors[:, values > 0.5].T


@dataclass(frozen=True)
class Trivial(Representation):
    """One number that stays what it is: grey values."""

    def matrices(self, group: PlaneGroup) -> np.ndarray:
        return np.ones((group.order, 1, 1))

    def invariant(self, group: PlaneGroup) -> np.ndarray:
        return np.ones((1, 1))


@dataclass(frozen=True)
class Regular(Representation):
    """One number per group element, permuted by `ρ(g) e_h = e_{gh}`: responses to a filter in all its positions."""

    def matrices(self, group: PlaneGroup) -> np.ndarray:
        return np.stack([np.eye(group.order)[row].T for row in group.product()])

    def invariant(self, group: PlaneGroup) -> np.ndarray:
        return np.full((1, group.order), group.order**-0.5)


@dataclass(frozen=True)
class Fields:
    """`count` fields of one representation beside each other: `count · size` channels, those of a field together."""

    count: int
    representation: Representation

    def channels(self, group: PlaneGroup) -> int:
        return self.count * self.representation.size(group)
