"""Which engine computes a scan: by name, or by memory and device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .engine import Engine, EngineName
from .gather_engine import GatherEngine
from .geometry import Geometry
from .sparse_engine import SparseEngine
from .symmetry import Reduction, reduce_rays
from .torch_engine import TorchEngine

_MIB = 1 << 20
_INDEX_BYTES = 4


def build_engine(name: EngineName, geometry: Geometry, reference: Tensor, memory_limit: float) -> Engine:
    """The engine `name` in the precision and on the device of `reference`; `memory_limit` in MiB."""
    return _BUILDERS[name](geometry, reference, memory_limit)


def sparse_bytes(geometry: Geometry, reduction: Reduction, reference: Tensor) -> int:
    """About what the sparse engine would store: index and weight of each entry, twice."""
    stored = geometry.entries() / len(reduction.symmetries)
    return int(2 * stored * (_INDEX_BYTES + reference.element_size()))


def _automatic(geometry: Geometry, reference: Tensor, memory_limit: float) -> Engine:
    reduction = _reduction(geometry, reference)
    if sparse_bytes(geometry, reduction, reference) <= memory_limit * _MIB:
        return SparseEngine(geometry, reference, reduction)
    return _matrix_free(geometry, reference, memory_limit)


def _reduction(geometry: Geometry, reference: Tensor) -> Reduction:
    """The symmetries of the scan, to the precision that the weights will have."""
    return reduce_rays(geometry, tolerance=max(torch.finfo(reference.dtype).eps, 1e-13))


def _sparse(geometry: Geometry, reference: Tensor, memory_limit: float) -> Engine:
    return SparseEngine(geometry, reference, _reduction(geometry, reference))


def _matrix_free(geometry: Geometry, reference: Tensor, memory_limit: float) -> Engine:
    if reference.device.type != "cpu":
        return GatherEngine(geometry, reference)
    try:
        from .numba_engine import NumbaEngine
    except (ImportError, RuntimeError):  # Numba is not installed, or has no place for its compiled code
        return TorchEngine(geometry, reference)
    return NumbaEngine(geometry, reference)


def _astra(geometry: Geometry, reference: Tensor, memory_limit: float) -> Engine:
    from .astra import AstraEngine

    return AstraEngine(geometry, reference)


_BUILDERS: dict[EngineName, Callable[[Geometry, Tensor, float], Engine]] = {
    "auto": _automatic,
    "sparse": _sparse,
    "matrix-free": _matrix_free,
    "astra": _astra,
}
