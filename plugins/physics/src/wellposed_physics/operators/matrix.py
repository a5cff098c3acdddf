"""An operator given by its matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.interface import KnownValue
from wellposed.pattern import Pattern
from wellposed.space import Space
from wellposed.structure import Structure

from .arguments import resolve
from .buffers import BufferedOperator
from .dense import SingularValues

#: Largest smaller side of a dense matrix whose singular values are computed; beyond, iterative methods.
_SVD_LIMIT = 2048


class Matrix(BufferedOperator):
    """`y = M x` for a real matrix, acting on each sample flattened in row-major order.

    Shapes: `(B, *domain_shape)` to `(B, *range_shape)`; `matrix` is `(Π range_shape, Π domain_shape)`:
    rows of numbers, a pattern (`file-pattern` reads files), or a dense or sparse tensor. A sparse one is
    kept as CSR together with its transpose, since transposed CSR products are slow. A dense one is inverted
    by its singular values, computed on first use; a sparse or very large one by conjugate gradients.

    Raises `ShapeError` for a matrix of another shape, `InputError` for one that is complex or not finite.
    """

    source = "Golub and Van Loan 2013, Matrix Computations, section 5.5 (least squares by singular values)"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        rows = {"domain_shape": [2], "range_shape": [2], "matrix": [[1.0, 2.0], [0.0, 3.0]]}
        return (KnownValue(([[1.0, 10.0]],), [[21.0, 30.0]], rows),)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"domain_shape": [3], "range_shape": [2], "matrix": [[1.0, 2.0, 0.0], [0.5, -1.0, 1.0]]},
            {"domain_shape": [1, 1, 2], "range_shape": [3], "matrix": [[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]},
        )

    def __init__(
        self,
        domain_shape: tuple[int, ...],
        range_shape: tuple[int, ...],
        matrix: Pattern | Tensor | Sequence[Sequence[float]],
    ) -> None:
        if not domain_shape or not range_shape:
            raise InputError(
                f"matrix needs shapes of at least one axis; domain_shape {list(domain_shape)} and range_shape "
                f"{list(range_shape)} were given"
            )
        super().__init__(Space(tuple(domain_shape)), Space(tuple(range_shape)))
        values = _values(matrix, (self.range.size, self.domain.size))
        self.sparse = values.layout != torch.strided
        if self.sparse:
            self._register_csr("rows", values)
            self._register_csr("columns", values.transpose(0, 1))
        else:
            self.register_exact("matrix", values)
        self._svd: SingularValues | None = None

    @classmethod
    def from_tensor(cls, matrix: Tensor) -> Matrix:
        """The operator `(B, n) → (B, m)` of a dense or sparse matrix `(m, n)`."""
        if matrix.ndim != 2:
            raise ShapeError(f"Matrix.from_tensor takes a matrix (m, n); {tuple(matrix.shape)} was given")
        return cls((matrix.shape[1],), (matrix.shape[0],), matrix)

    def _forward(self, x: Tensor) -> Tensor:
        return self._multiplied(x, transposed=False).unflatten(1, self.range.shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._multiplied(y, transposed=True).unflatten(1, self.domain.shape)

    def structure(self) -> Structure:
        svd = self._singular_values()
        if svd is None:
            return Structure()
        orthonormal = 1.0 if svd.rows_are_orthonormal else None
        square = orthonormal if self.range.size == self.domain.size else None
        return Structure(isometry=square, coisometry=orthonormal, norm=svd.norm)

    def _pinv(self, y: Tensor) -> Tensor:
        svd = self._singular_values()
        if svd is None:
            return super()._pinv(y)
        return svd.pinv(y.flatten(1)).unflatten(1, self.domain.shape)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        svd = self._singular_values()
        if svd is None:
            return super()._solve_normal(rhs, shift)
        shift = shift[:, None] if shift.ndim == 1 else shift
        return svd.solve_normal(rhs.flatten(1), shift).unflatten(1, self.domain.shape)

    def _multiplied(self, x: Tensor, *, transposed: bool) -> Tensor:
        flat = x.flatten(1)
        if not self.sparse:
            return flat @ (self.exact("matrix") if transposed else self.exact("matrix").T)
        # Sparse products take samples as columns.
        return (self._csr("columns" if transposed else "rows") @ flat.T).T.contiguous()

    def _singular_values(self) -> SingularValues | None:
        if self.sparse or min(self.range.size, self.domain.size) > _SVD_LIMIT:
            return None
        matrix = self.exact("matrix")
        if self._svd is None or self._svd.v.dtype != matrix.dtype or self._svd.v.device != matrix.device:
            self._svd = SingularValues.of(matrix)
        return self._svd

    def _register_csr(self, name: str, matrix: Tensor) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            csr = matrix.to_sparse_csr()
        narrow = torch.int32 if max(csr._nnz(), *csr.shape) < 2**31 else torch.int64
        self.register_exact(f"{name}_values", csr.values())
        self.register_exact(f"{name}_starts", csr.crow_indices().to(narrow))
        self.register_exact(f"{name}_indices", csr.col_indices().to(narrow))

    def _csr(self, name: str) -> Tensor:
        size = (self.range.size, self.domain.size)
        parts = (self.exact(f"{name}_{part}") for part in ("starts", "indices", "values"))
        shape = size if name == "rows" else size[::-1]
        return torch.sparse_csr_tensor(*parts, size=shape, check_invariants=False)


def _values(matrix: Pattern | Tensor | Sequence[Sequence[float]], size: tuple[int, int]) -> Tensor:
    if isinstance(matrix, Pattern | Tensor):
        values = resolve(matrix, size)
    else:
        if len({len(row) for row in matrix}) > 1:
            raise ShapeError("the rows of the matrix have different lengths")
        values = torch.tensor([list(row) for row in matrix], dtype=torch.float64)
    if tuple(values.shape) != size:
        raise ShapeError(
            f"Matrix needs {size[0]} rows (entries of range_shape) and {size[1]} columns (entries of "
            f"domain_shape); {tuple(values.shape)} was given"
        )
    if values.is_complex():
        raise InputError(f"Matrix takes a real matrix; {values.dtype} was given")
    if not values.is_floating_point():
        values = values.to(torch.float64)
    entries = values if values.layout == torch.strided else values.to_sparse_coo().coalesce().values()
    if not bool(torch.isfinite(entries).all()):
        raise InputError("the matrix holds entries that are not finite")
    return values
