"""Bases of steerable kernels: convolutions with them commute with the group."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from wellposed.errors import InputError

from .group import PlaneGroup
from .harmonics import rings, sample
from .representation import Representation


@lru_cache(maxsize=64)
def steerable_basis(group: PlaneGroup, source: Representation, target: Representation, kernel_size: int) -> np.ndarray:
    """All band-limited kernels with `K(g x) = ρ_target(g) K(x) ρ_source(g)⁻¹`: `(d, n_target, n_source, k, k)`.

    The condition is linear and mixes functions of one angular frequency alone, so its solutions are found for
    each frequency by averaging single entries over the group,

        K = (1/|G|) Σ_g ρ_target(g) [E_{oi} φ(g⁻¹ ·)] ρ_source(g)⁻¹,

    for all o, i, φ in this order, and keeping each that is not in the span of those before it. For
    regular fields these are one kernel `φ` in all its positions. A convolution with independent standard
    normal input has variance `Σ w²` then: each kernel has unit norm, meaned over the rows of the matrix.

    Raises `InputError` for even sizes, whose middle is no pixel. Source: the kernel
    constraint of Weiler and Cesa 2019, arXiv:1911.08251.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise InputError(f"a steerable kernel needs an odd size, so that it has a middle; {kernel_size} was given")
    kernels = [
        np.einsum("dtoi,tyx->doiyx", _solutions(group, source, target, frequency), functions)
        for ring in rings(kernel_size)
        for frequency in range(ring.frequencies + 1)
        if len(functions := sample(ring, frequency, kernel_size))
    ]
    basis = np.concatenate(kernels)
    norm = np.sqrt(np.square(basis).sum((1, 2, 3, 4), keepdims=True) / basis.shape[1])
    basis = basis / norm
    basis.setflags(write=False)  # it is shared by all layers
    return basis


@lru_cache(maxsize=256)
def _solutions(group: PlaneGroup, source: Representation, target: Representation, frequency: int) -> np.ndarray:
    """Coefficients of the kernels of one frequency, shape `(d, functions, n_target, n_source)`."""
    functions, rows, columns = group.harmonic(frequency), target.matrices(group), source.matrices(group)
    shape = functions.shape[1], rows.shape[1], columns.shape[1]
    mean = np.einsum("gst,gop,giq->soitpq", functions, rows, columns) / group.order
    # Candidates in the order (row, column, function): for regular fields the first ones are the orbits.
    candidates = mean.transpose(4, 5, 3, 0, 1, 2).reshape(-1, np.prod(shape))
    rank = round(float(np.trace(mean.reshape(np.prod(shape), -1))))  # of a projection
    return _independent(candidates, rank).reshape(-1, *shape)


def _independent(candidates: np.ndarray, rank: int) -> np.ndarray:
    """The first `rank` rows that are not in the span of those before them."""
    chosen: list[np.ndarray] = []
    directions = np.zeros((0, candidates.shape[1]))
    for row in candidates:
        if len(chosen) == rank:
            break
        rest = row - directions.T @ (directions @ row)
        rest -= directions.T @ (directions @ rest)  # twice is enough
        length = np.linalg.norm(rest)
        if length > 1e-6 * max(np.linalg.norm(row), 1e-3):
            chosen.append(row)
            directions = np.vstack([directions, rest / length])
    return np.array(chosen).reshape(-1, candidates.shape[1])
