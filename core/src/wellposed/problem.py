"""A posed inverse problem: operator, measurement, fidelity and regularizer, frozen."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .errors import ShapeError, require
from .fidelity import Fidelity
from .operator import LinearOperator, Operator
from .regularizer import Regularizer, Zero


@dataclass(frozen=True)
class Problem:
    """`min_x D(A(x), y) + R(x)` for a batch of measurements `y` of shape `(B, *operator.range.shape)`.

    Raises `ShapeError` where the measurement does not lie in the operator's range and `InputError`
    where it cannot belong to the fidelity's noise model. Measurements that are not finite are let
    through: the driver gives those samples, and only those, the verdict `NON_FINITE_MEASUREMENT`.
    """

    operator: Operator
    measurement: Tensor
    fidelity: Fidelity
    regularizer: Regularizer = field(default_factory=Zero)

    def __post_init__(self) -> None:
        require(self.operator, Operator, "the operator of a problem")
        require(self.fidelity, Fidelity, "the fidelity of a problem")
        require(self.regularizer, Regularizer, "the regularizer of a problem")
        self.operator.check_range(self.measurement)
        if len(self.measurement) == 0:
            raise ShapeError("the measurement holds no sample: its batch dimension is 0")
        finite = self.finite
        self.fidelity.check(self.measurement if bool(finite.all()) else self.measurement[finite])

    @property
    def batch(self) -> int:
        return len(self.measurement)

    @property
    def finite(self) -> Tensor:
        """Which samples have measurements without NaN and infinity, `(B,)` bool."""
        return torch.isfinite(self.measurement).flatten(1).all(1)

    def data_value(self, x: Tensor) -> Tensor:
        """`D(A(x), y)`, shape `(B,)`."""
        return self.fidelity(self.operator(x), self.measurement)

    def data_gradient(self, x: Tensor) -> Tensor:
        """`A'(x)* ∇D(A(x), y)`, shape of `x`."""
        residual = self.fidelity.gradient(self.operator(x), self.measurement)
        if isinstance(self.operator, LinearOperator):
            return self.operator.adjoint(residual)
        return self.operator.vjp(x, residual)

    def objective(self, x: Tensor) -> Tensor:
        """`D(A(x), y) + R(x)`, shape `(B,)`."""
        return self.data_value(x) + self.regularizer(x)

    def gradient(self, x: Tensor) -> Tensor:
        """Gradient of the objective; needs a regularizer with `grad`."""
        return self.data_gradient(x) + self.regularizer.grad(x)

    def zeros(self) -> Tensor:
        """The zero image, the default start of every iteration."""
        y = self.measurement
        return self.operator.domain.zeros(self.batch, y.device, y.dtype.to_real())

    def take(self, index: Tensor) -> Problem:
        """The problem of the samples `index` alone.

        What was checked of all samples holds for some, and is not checked again: a GPU would be waited for.
        """
        part = copy(self)
        object.__setattr__(part, "operator", self.operator.take(index))
        object.__setattr__(part, "measurement", self.measurement[index])
        object.__setattr__(part, "fidelity", self.fidelity.take(index))
        return part
