"""Linear maps as dense real matrices, for solvers that know nothing of operators.

Images are real vectors: a complex one is its real part followed by its imaginary part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pywt
import torch
from torch import Tensor

from wellposed import LinearOperator, Space


@dataclass(frozen=True)
class Layout:
    """The shape of one sample; `parts` is 1 for real and 2 for complex values."""

    shape: tuple[int, ...]
    parts: int

    @classmethod
    def of(cls, space: Space) -> Layout:
        return cls(tuple(space.shape), 2 if space.is_complex else 1)

    @property
    def size(self) -> int:
        return self.parts * math.prod(self.shape)

    def vector(self, image: Tensor) -> np.ndarray:
        """One sample as a real vector."""
        image = image.detach()
        flat = image.flatten()
        parts = [flat.real, flat.imag] if self.parts == 2 else [flat]
        return torch.cat([p.double() for p in parts]).numpy()

    def image(self, vector: np.ndarray) -> Tensor:
        """The sample of a real vector, in double precision."""
        parts = torch.from_numpy(vector.copy()).reshape(self.parts, *self.shape)
        return torch.complex(parts[0], parts[1]) if self.parts == 2 else parts[0]


@lru_cache(maxsize=64)
def operator_matrix(operator: LinearOperator, sample: int, precision: torch.dtype) -> np.ndarray:
    """The operator of one sample of the batch, from its values on unit vectors."""
    own = operator.take(torch.tensor([sample]))
    domain, target = Layout.of(operator.domain), Layout.of(operator.range)
    field = precision.to_complex() if operator.domain.is_complex else precision
    columns = []
    for unit in np.eye(domain.size):
        value = own(domain.image(unit).to(field)[None])[0]
        columns.append(target.vector(value.to(torch.complex128) if target.parts == 2 else value))
    return np.stack(columns, axis=1)


def differences(layout: Layout) -> np.ndarray:
    """`x[i + e_k] − x[i]`, 0 across the border, as `(d, parts, channels, pixels, size)`."""
    basis = np.eye(layout.size).reshape(layout.parts, *layout.shape, layout.size)
    maps = []
    for axis in range(2, 1 + len(layout.shape)):
        last = np.take(basis, [-1], axis=axis)
        maps.append(np.diff(basis, axis=axis, append=last))
    return np.stack(maps).reshape(len(maps), layout.parts, layout.shape[0], -1, layout.size)


def symmetrised_differences(shape: tuple[int, int]) -> np.ndarray:
    """Of fields `(2, H, W)`, those that exist: `(3, pixels, 2·H·W)`, off-diagonals once and times √2."""
    height, width = shape
    field = np.eye(2 * height * width).reshape(2, height, width, -1)
    down, across = field[0, : height - 1], field[1, :, : width - 1]
    result = np.zeros((3, *field.shape[1:]))
    result[0, : max(height - 2, 0)] = np.diff(down, axis=0)
    result[2, :, : max(width - 2, 0)] = np.diff(across, axis=1)
    result[1, : height - 1, : width - 1] = (np.diff(down, axis=1) + np.diff(across, axis=0)) / math.sqrt(2)
    return result.reshape(3, height * width, -1)


def wavelet_details(layout: Layout, wavelet: str, levels: int, approximation: bool) -> np.ndarray:
    """PyWavelets' periodised coefficients that are penalised, as `(parts, coefficients, size)`."""
    axes = tuple(range(-len(layout.shape) + 1, 0))
    columns = []
    for unit in np.eye(layout.size):
        planes = unit.reshape(layout.parts, *layout.shape)
        coarse, *details = pywt.wavedecn(planes, wavelet, "periodization", levels, axes)
        bands = [band for level in details for band in level.values()] + ([coarse] if approximation else [])
        columns.append(np.concatenate([band.reshape(layout.parts, -1) for band in bands], axis=1))
    return np.stack(columns, axis=-1)
