"""What a linear operator declares of its structure, held against its matrix: every pixel counts, no probe decides."""

from __future__ import annotations

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..space import Space, norm
from ..structure import Structure
from .linear_operators import basis, is_linear, largest_singular_value
from .measure import at_most, normal, that
from .promise import NotPromised, check
from .subject import Subject

#: Largest space, in real dimensions, whose every unit vector is tried; of larger ones some are, and random images.
_DENSE_LIMIT = 1100
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


@check(applies=is_linear, since="0.2")
def declared_structure_holds(subject: Subject) -> None:
    """Isometry, co-isometry, projection and diagonal hold for every unit vector, in both precisions."""
    for dtype in (torch.float64, torch.float32):
        operator = subject.build(dtype)
        declared = operator.structure()
        if all(value is None for value in vars(declared).values()):
            raise NotPromised("it declares no structure")
        _assert_structure(operator, declared, dtype, subject.label)
        part = operator.take(torch.tensor([0]))
        _assert_structure(part, part.structure(), dtype, f"{subject.label}.take")


@check(applies=is_linear, since="0.2")
def declared_norm_is_exact(subject: Subject) -> None:
    """`structure().norm` is `‖A‖` itself, and `norm()` bounds it within 1 %."""
    operator = subject.build()
    declared = operator.structure().norm
    if declared is None:
        raise NotPromised("it declares no norm")
    true = largest_singular_value(operator)
    at_most(abs(declared - true), 1e-6 * true, f"structure().norm of {subject.label}, {declared:.9g}, less ‖A‖")
    at_most(declared, operator.norm() * (1 + 1e-6), f"structure().norm of {subject.label} by its norm()")


def _assert_structure(operator: LinearOperator, declared: Structure, dtype: torch.dtype, who: str) -> None:
    tolerance = _TOLERANCE[dtype]
    images = _probes(operator.domain, dtype)
    if declared.isometry is not None:
        c = declared.isometry
        that(c > 0, f"the isometry of {who} must be positive; it is {c}")
        at_most(_worst(operator.gram(images) - c * images, images, c), tolerance, f"{who} declares A*A = {c:g}·I")
    if declared.projection is not None:
        c = declared.projection
        once = operator.gram(images) / c
        error = _worst(operator.gram(once) / c - once, images, 1.0)
        at_most(error, tolerance, f"{who} declares A*A = {c:g}·P with a projection P")
    if declared.coisometry is not None:
        c = declared.coisometry
        data = _probes(operator.range, dtype)
        there = operator(operator.adjoint(data))
        at_most(_worst(there - c * data, data, c), tolerance, f"{who} declares AA* = {c:g}·I")
    if declared.diagonal is not None:
        d = declared.diagonal
        that(bool((d >= 0).all()), f"the diagonal of {who} must be nonnegative")
        scale = float(d.max()) or 1.0
        at_most(_worst(operator.gram(images) - d * images, images, scale), tolerance, f"{who} declares A*A x = d·x")


def _probes(space: Space, dtype: torch.dtype) -> Tensor:
    """Unit vectors and random elements of a space, as one batch."""
    random = normal(space, 3, seed=9, dtype=dtype)
    dimension = space.size * (2 if space.is_complex else 1)
    if dimension <= _DENSE_LIMIT:
        return torch.cat([basis(space).to(random.dtype), random])
    units = torch.zeros((40, space.size), dtype=random.dtype)
    places = torch.linspace(0, space.size - 1, 40).long()
    units[torch.arange(40), places] = 1
    return torch.cat([units.reshape(40, *space.shape), random])


def _worst(error: Tensor, probes: Tensor, scale: float) -> float:
    return float((norm(error) / norm(probes)).max()) / scale


CHECKS = (declared_structure_holds, declared_norm_is_exact)
