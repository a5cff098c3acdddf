"""Stored Joseph weights: the matrix and its transpose, each in CSR, reduced by the scan's symmetries."""

from __future__ import annotations

import warnings

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
    eighty times slower.
    """

    def __init__(self, geometry: Geometry, reference: Tensor, reduction: Reduction) -> None:
        self.geometry = geometry
        self.plain = tuple(s.flips for s in reduction.symmetries if not s.transposed)
        self.transposed = tuple(s.flips for s in reduction.symmetries if s.transposed)
        matrix = joseph_matrix(rays_of(geometry, reduction.base), geometry.shape, _numpy_dtype(reference))
        pixels = geometry.shape[0] * geometry.shape[1]
        self.matrix = _Rows(matrix, pixels, reference.device)
        self.transpose = _Rows(_transposed(matrix), len(reduction.base), reference.device)
        self.source = torch.from_numpy(reduction.source).to(reference.device)

    def project(self, images: Tensor) -> Tensor:
        return torch.cat([self._project(part) for part in images.split(self._images_at_once)])

    def backproject(self, sinograms: Tensor) -> Tensor:
        return torch.cat([self._backproject(part) for part in sinograms.split(self._images_at_once)])

    @property
    def stored_bytes(self) -> int:
        return self.matrix.stored_bytes + self.transpose.stored_bytes + tensor_bytes(self.source)

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
        rays = _rows_of(orbits, len(images)).index_select(0, self.source)
        return rays.reshape(-1, len(images)).t().reshape(len(images), self.geometry.views, self.geometry.bins)

    def _backproject(self, sinograms: Tensor) -> Tensor:
        rays = sinograms.flatten(1).t()
        orbits = rays.new_zeros(self.matrix.shape[0], self.copies * len(sinograms))
        _rows_of(orbits, len(sinograms)).index_copy_(0, self.source, rays.squeeze(1))
        columns = self.transpose.times(orbits)
        return self._fold(columns.reshape(*self.geometry.shape, self.copies, len(sinograms)))

    def _unfold(self, images: Tensor) -> Tensor:
        """The copies `f∘M` of all symmetries, `(rows, columns, copies, n)`."""
        pixels = images.permute(1, 2, 0)
        copies = images.new_empty(*self.geometry.shape, self.copies, len(images))
        turned = copies[:, :, len(self.plain) :]
        for k, flips in enumerate(self.plain):
            copies[:, :, k] = pixels.flip(flips)
        if self.transposed == self.plain:
            turned.copy_(copies[:, :, : len(self.plain)].transpose(0, 1))
        else:
            for k, flips in enumerate(self.transposed):
                turned[:, :, k] = pixels.flip(flips).transpose(0, 1)
        return copies

    def _fold(self, copies: Tensor) -> Tensor:
        """The transpose of `_unfold`: the sum of all copies, each moved back, `(n, rows, columns)`."""
        plain = copies[:, :, : len(self.plain)]
        turned = copies[:, :, len(self.plain) :].transpose(0, 1)
        if self.transposed == self.plain:
            total = _summed(plain + turned, self.plain)
        elif self.transposed:
            total = _summed(plain, self.plain) + _summed(turned, self.transposed)
        else:
            total = _summed(plain, self.plain)
        return total.permute(2, 0, 1)


def _summed(copies: Tensor, flips: tuple[tuple[int, ...], ...]) -> Tensor:
    """The sum over the third dimension, each part flipped as `flips` says."""
    parts = [part.flip(axes) if axes else part for part, axes in zip(copies.unbind(2), flips, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _rows_of(table: Tensor, n: int) -> Tensor:
    """`(rays, copies · n)` seen as `(rays · copies, n)`; without the last dimension where `n = 1` (faster)."""
    return table.view(-1, n).squeeze(1)


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
