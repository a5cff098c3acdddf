"""Stored Joseph weights: the matrix and its transpose, each in CSR, reduced by the scan's symmetries."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn import functional

from .engine import Engine, tensor_bytes
from .geometry import Geometry
from .joseph import joseph_matrix, rays_of
from .symmetry import Reduction

#: Columns of one sparse product: enough to share the matrix, few enough to stay in the cache.
_COLUMNS = 32
_COLUMN_ENTRIES = 1 << 22

#: From so many columns on, torch's embedding bag (FBGEMM) beats its sparse product (MKL) on a CPU.
_BAG_COLUMNS = 16


class SparseEngine(Engine):
    """`A` and `Aᵀ` of one ray of each orbit; the copies of the images are columns of one product.

    The transpose is stored as a matrix of its own, because products with a transposed CSR are some
    eighty times slower. Rows of the image are `pitch` pixels apart in its columns: an odd multiple of four,
    because rows a power of two apart would fall on each other in the cache.
    """

    def __init__(self, geometry: Geometry, reference: Tensor, reduction: Reduction) -> None:
        self.geometry = geometry
        self.plain = tuple(s.flips for s in reduction.symmetries if not s.transposed)
        self.transposed = tuple(s.flips for s in reduction.symmetries if s.transposed)
        height, width = geometry.shape
        self.pitch = width + (4 - width) % 16
        rays = rays_of(geometry, reduction.base)
        matrix = joseph_matrix(rays, geometry.shape, _numpy_dtype(reference), self.pitch)
        self.matrix = _Rows(matrix, height * self.pitch, reference.device)
        self.transpose = _Rows(_transposed(matrix), len(reduction.base), reference.device)
        table = np.full(len(reduction.base) * self.copies, geometry.views * geometry.bins)
        table[reduction.source] = np.arange(len(reduction.source))
        self.orbit_of_ray = torch.from_numpy(reduction.source).to(reference.device)
        self.ray_of_orbit = torch.from_numpy(table).to(reference.device)

    def project(self, images: Tensor) -> Tensor:
        return _in_parts(self._project, images, self._images_at_once)

    def backproject(self, sinograms: Tensor) -> Tensor:
        return _in_parts(self._backproject, sinograms, self._images_at_once)

    @property
    def stored_bytes(self) -> int:
        return (
            self.matrix.stored_bytes + self.transpose.stored_bytes + tensor_bytes(self.orbit_of_ray, self.ray_of_orbit)
        )

    @property
    def copies(self) -> int:
        """How many times each stored ray is used."""
        return len(self.plain) + len(self.transposed)

    @property
    def _images_at_once(self) -> int:
        columns = min(_COLUMNS, _COLUMN_ENTRIES // self.matrix.shape[1])
        return max(1, columns // self.copies)

    def _project(self, images: Tensor) -> Tensor:
        orbits = self.matrix.times(self._unfold(images).flatten(0, 1).flatten(1))
        rays = _select(orbits.view(-1, len(images)), self.orbit_of_ray)
        return rays.t().reshape(len(images), self.geometry.views, self.geometry.bins)

    def _backproject(self, sinograms: Tensor) -> Tensor:
        rays = sinograms.flatten(1).t()
        rays = torch.cat([rays, rays.new_zeros(1, len(sinograms))])  # what no ray is stored at reads a zero
        orbits = _select(rays, self.ray_of_orbit).view(self.matrix.shape[0], -1)
        columns = self.transpose.times(orbits)
        return self._fold(columns.view(-1, self.pitch, self.copies, len(sinograms)))

    def _unfold(self, images: Tensor) -> Tensor:
        """The copies `f∘M` of all symmetries, `(rows, pitch, copies, n)`."""
        pixels = images.permute(1, 2, 0)
        whole = images.new_empty(self.geometry.shape[0], self.pitch, self.copies, len(images))
        copies = whole[:, : self.geometry.shape[1]]
        turned = copies[:, :, len(self.plain) :]
        for k, flips in enumerate(self.plain):
            copies[:, :, k] = _flipped(pixels, flips)
        if self.transposed == self.plain:
            turned.copy_(copies[:, :, : len(self.plain)].transpose(0, 1))
        else:
            for k, flips in enumerate(self.transposed):
                turned[:, :, k] = _flipped(pixels, flips).transpose(0, 1)
        return whole

    def _fold(self, copies: Tensor) -> Tensor:
        """The transpose of `_unfold`: the sum of all copies, each moved back, `(n, rows, columns)`; spoils them."""
        copies = copies[:, : self.geometry.shape[1]]
        plain = copies[:, :, : len(self.plain)]
        turned = copies[:, :, len(self.plain) :].transpose(0, 1)
        if self.transposed == self.plain:
            total = _summed(plain.add_(turned), self.plain)
        elif self.transposed:
            total = _summed(plain, self.plain) + _summed(turned, self.transposed)
        else:
            total = _summed(plain, self.plain)
        return total.permute(2, 0, 1)


def _in_parts(apply: Callable[[Tensor], Tensor], tensors: Tensor, size: int) -> Tensor:
    """`apply` to at most `size` samples at once."""
    if len(tensors) <= size:
        return apply(tensors)
    return torch.cat([apply(part) for part in tensors.split(size)])


def _select(table: Tensor, rows: Tensor) -> Tensor:
    """Some rows of a table; one column is selected from as a vector, which is four times faster."""
    return table.squeeze(1).index_select(0, rows).view(len(rows), -1)


def _flipped(pixels: Tensor, axes: tuple[int, ...]) -> Tensor:
    return pixels.flip(axes) if axes else pixels


def _summed(copies: Tensor, flips: tuple[tuple[int, ...], ...]) -> Tensor:
    """The sum over the third dimension, each part flipped as `flips` says."""
    first, *others = (_flipped(part, axes) for part, axes in zip(copies.unbind(2), flips, strict=True))
    return sum(others, first)


class _Rows:
    """A CSR matrix in torch, applied to dense columns."""

    def __init__(self, matrix: csr_matrix, columns: int, device: torch.device) -> None:
        self.shape = (len(matrix.indptr) - 1, columns)
        self.row = torch.from_numpy(matrix.indptr).to(device)
        self.column = torch.from_numpy(matrix.indices).to(device)
        self.value = torch.from_numpy(matrix.data).to(device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            self.matrix = torch.sparse_csr_tensor(self.row, self.column, self.value, self.shape, check_invariants=False)

    @property
    def stored_bytes(self) -> int:
        return tensor_bytes(self.row, self.column, self.value)

    def times(self, columns: Tensor) -> Tensor:
        """The product with a dense matrix `(shape[1], columns)`."""
        if self._bag_is_faster(columns):
            return functional.embedding_bag(
                self.column,
                columns,
                self.row,
                mode="sum",
                per_sample_weights=self.value,
                include_last_offset=True,
            )
        if columns.shape[1] == 1:
            return (self.matrix @ columns[:, 0])[:, None]
        return self.matrix @ columns

    @staticmethod
    def _bag_is_faster(columns: Tensor) -> bool:
        on_cpu = columns.device.type == "cpu" and columns.dtype == torch.float32
        return on_cpu and columns.shape[1] >= _BAG_COLUMNS


def _transposed(matrix: csr_matrix) -> csr_matrix:
    columns = matrix.tocsc(copy=False)
    return csr_matrix((columns.data, columns.indices, columns.indptr), copy=False)


def _numpy_dtype(reference: Tensor) -> np.dtype:
    return torch.empty((), dtype=reference.dtype).numpy().dtype
