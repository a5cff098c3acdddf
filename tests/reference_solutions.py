"""Problems solved by an independent library: each sample, from its parts, as a convex programme for CVXPY.

The formulas are those of the components' docstrings, written anew; of the components only their numbers are read.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
import torch
from reference_maps import Layout, differences, operator_matrix, symmetrised_differences, wavelet_details
from torch import Tensor

from wellposed import Problem, Regularizer, component
from wellposed.regularizer import Sum, Weighted

#: Smallest singular value, relative to the largest, of maps that count as injective.
INJECTIVE = 1e-6
#: Asked of Clarabel in turn, until it gets there.
ACCURACIES = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8)


@dataclass
class Programme:
    """One sample: `minimise Σ terms`, subject to `constraints`, by `x`.

    `strict` are the maps `K` of terms `f(K x)` with `f` strictly convex: where they have no kernel in common, the
    whole is strictly convex and its minimiser unique. `auxiliary` tells that other variables are minimised over too.
    """

    layout: Layout
    x: cp.Variable
    precision: torch.dtype
    terms: list[Any] = field(default_factory=list)
    constraints: list[Any] = field(default_factory=list)
    strict: list[np.ndarray] = field(default_factory=list)
    auxiliary: bool = False

    @classmethod
    def of(cls, problem: Problem, sample: int) -> Programme:
        layout = Layout.of(problem.operator.domain)
        programme = cls(layout, cp.Variable(layout.size), problem.measurement.dtype.to_real())
        _add_data(programme, problem, sample)
        _add(programme, problem.regularizer, 1.0, _Image(np.eye(layout.size), layout))
        return programme

    @property
    def unique(self) -> bool:
        return self.condition < 1 / INJECTIVE

    @property
    def condition(self) -> float:
        """Largest over smallest singular value of the strictly convex terms' maps together."""
        rows = np.concatenate([np.zeros((1, self.layout.size)), *self.strict])
        values = np.linalg.svd(rows, compute_uv=False)
        smallest = values[-1] if len(values) == self.layout.size else 0.0
        return float(values[0] / smallest) if smallest > 0 else float("inf")

    def solve(self) -> tuple[np.ndarray, float]:
        """The minimiser and the minimum."""
        self._minimise([])
        assert self.x.value is not None
        return np.asarray(self.x.value), self.value_at(np.asarray(self.x.value))

    def value_at(self, vector: np.ndarray) -> float:
        """The objective, of which constraints are no part."""
        if self.auxiliary:
            self._minimise([self.x == vector])
        self.x.value = vector
        return float(sum(term.value for term in self.terms)) if self.terms else 0.0

    def violation_at(self, vector: np.ndarray) -> float:
        """The largest violation of a constraint."""
        self.x.value = vector
        return max((float(np.max(c.violation())) for c in self.constraints), default=0.0)

    def _minimise(self, more: list[Any]) -> None:
        objective = cp.Minimize(cp.sum(cp.hstack(self.terms)) if self.terms else 0)
        whole = cp.Problem(objective, self.constraints + more)
        for tol in ACCURACIES:
            with warnings.catch_warnings(), contextlib.suppress(cp.SolverError):
                warnings.filterwarnings("ignore", "Solution may be inaccurate")
                whole.solve(cp.CLARABEL, tol_gap_abs=tol, tol_gap_rel=tol, tol_feas=tol, max_iter=200)
            if whole.status == cp.OPTIMAL:
                return
        whole.solve(cp.SCS, eps_abs=1e-9, eps_rel=1e-9, max_iters=200_000)
        assert whole.status == cp.OPTIMAL, whole.status


@dataclass(frozen=True)
class _Image:
    """`matrix @ x`, an image of this layout: what a regularizer is a function of."""

    matrix: np.ndarray
    layout: Layout

    @property
    def values(self) -> np.ndarray:
        """`(parts, numbers, size)`."""
        return self.matrix.reshape(self.layout.parts, -1, self.matrix.shape[1])

    def through(self, maps: np.ndarray) -> np.ndarray:
        return maps @ self.matrix


def _lengths(programme: Programme, maps: np.ndarray, members: tuple[int, ...], above: float = 0.0) -> Any:
    """Euclidean lengths over the axes `members` of `maps @ x`, of `maps` with a last axis as long as `x`."""
    first = np.moveaxis(maps, members, range(len(members)))
    count = int(np.prod(first.shape[: len(members)]))
    rows = [part @ programme.x for part in first.reshape(count, -1, maps.shape[-1])]
    rows += [np.full(rows[0].shape, above)] if above > 0 else []
    return cp.norm(cp.vstack(rows), 2, axis=0) if len(rows) > 1 else cp.abs(rows[0])


# Data terms -------------------------------------------------------------------------------------------


def _add_data(programme: Programme, problem: Problem, sample: int) -> None:
    y = problem.measurement[sample]
    layout = Layout.of(problem.operator.range)
    matrix = operator_matrix(problem.operator, sample, programme.precision)
    name = _name("fidelities", problem.fidelity)
    _DATA[name](programme, problem.fidelity, sample, layout, matrix, y)


def _per_bin(value: Any, sample: int, layout: Layout, y: Tensor) -> np.ndarray:
    """One number for each value of the measurement, both parts of complex ones alike."""
    number = value.value
    if isinstance(number, Tensor) and value.per_sample:
        number = number[sample]
    whole = torch.as_tensor(number, dtype=torch.float64).expand(y.shape).flatten().numpy()
    return np.asarray(whole)


def _squares(programme: Programme, fidelity: Any, sample: int, layout: Layout, matrix: np.ndarray, y: Tensor) -> None:
    weight = np.tile(_per_bin(fidelity.weight, sample, layout, y), layout.parts)
    root = np.sqrt(weight)
    programme.terms.append(0.5 * cp.sum_squares((root[:, None] * matrix) @ programme.x - root * layout.vector(y)))
    programme.strict.append(root[:, None] * matrix)


def _absolute(programme: Programme, fidelity: Any, sample: int, layout: Layout, matrix: np.ndarray, y: Tensor) -> None:
    weight = _per_bin(fidelity.weight, sample, layout, y)
    residual = cp.reshape(matrix @ programme.x - layout.vector(y), (layout.parts, len(weight)), order="C")
    programme.terms.append(weight @ cp.norm(residual, 2, axis=0))


def _counts(programme: Programme, fidelity: Any, sample: int, layout: Layout, matrix: np.ndarray, y: Tensor) -> None:
    counts = layout.vector(y)
    mean = matrix @ programme.x + _per_bin(fidelity.background, sample, layout, y)
    seen = counts > 0
    if seen.any():
        programme.terms.append(fidelity.gain * cp.sum(cp.kl_div(counts[seen], mean[np.flatnonzero(seen)])))
        programme.strict.append(np.sqrt(fidelity.gain / counts[seen])[:, None] * matrix[seen])
    if not seen.all():
        programme.terms.append(fidelity.gain * cp.sum(mean[np.flatnonzero(~seen)]))
    programme.constraints.append(mean >= 0)


_DATA: dict[str, Callable[..., None]] = {"l2": _squares, "l1": _absolute, "kullback-leibler": _counts}


# Regularizers -----------------------------------------------------------------------------------------


def _add(programme: Programme, regularizer: Regularizer, weight: float, image: _Image) -> None:
    if isinstance(regularizer, Sum):
        for term in regularizer:
            _add(programme, term, weight, image)
    elif isinstance(regularizer, Weighted):
        _add(programme, regularizer.regularizer, weight * float(regularizer.weight), image)
    else:
        _PRIORS[_name("regularizers", regularizer)](programme, regularizer, weight, image)


def _nothing(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    pass


def _sparse(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    programme.terms.append(weight * cp.sum(_lengths(programme, image.values, (0,))))


def _huber(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    lengths = _lengths(programme, image.values, (0,))
    programme.terms.append(weight / (2 * regularizer.delta) * cp.sum(cp.huber(lengths, regularizer.delta)))


def _bounds(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    values = image.matrix @ programme.x
    if np.isfinite(regularizer.lower):
        programme.constraints.append(values >= regularizer.lower)
    if np.isfinite(regularizer.upper):
        programme.constraints.append(values <= regularizer.upper)


def _squared(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    maps = image.matrix
    if regularizer.differences is not None:
        maps = image.through(differences(image.layout).reshape(-1, image.layout.size))
    programme.terms.append(0.5 * weight * cp.sum_squares(maps @ programme.x))
    programme.strict.append(np.sqrt(weight) * maps)


def _variation(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    members = (1,) if regularizer.norm == "anisotropic" else (0, 1)
    members = (*members, 2) if regularizer.channels == "joint" else members
    maps = image.through(differences(image.layout))
    programme.terms.append(weight * cp.sum(_lengths(programme, maps, members)))


def _smoothed(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    maps, nu, xi = image.through(differences(image.layout)), float(regularizer.nu), float(regularizer.xi)
    programme.terms.append(weight * cp.sum(_lengths(programme, maps, (0, 1), above=nu)))
    programme.terms.append(0.5 * weight * xi * cp.sum_squares(image.matrix @ programme.x))
    programme.strict.append(np.sqrt(weight * xi) * image.matrix)


def _second_order(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    """`min_w Σ|∇x − w| + ratio Σ|E w|`, each channel with a field of its own."""
    maps = image.through(differences(image.layout))
    symmetrised = symmetrised_differences(image.layout.shape[1:])
    for channel in range(maps.shape[2]):
        first, second = [], []
        for part in range(maps.shape[1]):
            auxiliary = cp.Variable(symmetrised.shape[-1])
            pixels = maps.shape[3]
            fields = [auxiliary[k * pixels : (k + 1) * pixels] for k in range(2)]
            first += [maps[k, part, channel] @ programme.x - fields[k] for k in range(2)]
            second += [rows @ auxiliary for rows in symmetrised]
        programme.terms.append(weight * cp.sum(cp.norm(cp.vstack(first), 2, axis=0)))
        programme.terms.append(weight * regularizer.ratio * cp.sum(cp.norm(cp.vstack(second), 2, axis=0)))
    programme.auxiliary = True


def _wavelets(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    transform = regularizer.transform
    maps = wavelet_details(image.layout, transform.wavelet, transform.levels, regularizer.approximation)
    programme.terms.append(weight * cp.sum(_lengths(programme, image.through(maps), (0,))))


def _composed(programme: Programme, regularizer: Any, weight: float, image: _Image) -> None:
    operator = regularizer.operator
    matrix = operator_matrix(operator, 0, programme.precision) @ image.matrix
    _add(programme, regularizer.regularizer, weight, _Image(matrix, Layout.of(operator.range)))


_PRIORS: dict[str, Callable[..., None]] = {
    "zero": _nothing,
    "l1": _sparse,
    "huber": _huber,
    "box": _bounds,
    "nonnegativity": _bounds,
    "tikhonov": _squared,
    "total-variation": _variation,
    "smoothed-total-variation": _smoothed,
    "total-generalized-variation": _second_order,
    "wavelet-l1": _wavelets,
    "compose": _composed,
}


def _name(kind: str, part: object) -> str:
    known = _DATA if kind == "fidelities" else _PRIORS
    return next(name for name in known if type(part) is component(kind, name))
