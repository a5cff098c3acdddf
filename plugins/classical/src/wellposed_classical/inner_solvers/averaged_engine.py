"""The iteration of total-variation denoising for differences averaged over all sides."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..averaged_differences import AveragedDifferences
from ..magnitude import magnitude, squared_magnitude
from .derivative import projection_derivative
from .step_sizes import Coupling, Steps

_GRADIENT = AveragedDifferences()


class AveragedEngine:
    """Primal–dual iteration for `½‖x − y‖² + Σ_i |(K x)_i|`, lengths over the directions and the numbers of a pixel.

    It works on `2^(d/2) K`, of norm at most `(4d)^½` as the step sizes want it, and dual fields of length at most
    `2^(−d/2)`. `y` is `(N, J, *spatial)` of any device, with any number of axes.
    """

    def __init__(self, y: Tensor, coupling: Coupling = "averaged") -> None:
        self.steps = Steps(y.ndim - 2)
        self.factor = math.sqrt(2.0 ** (y.ndim - 2))
        self.data = y
        self.image, self.ahead, self.target = y.clone(), y.clone(), y.clone()
        self.field = torch.zeros_like(_GRADIENT(y))

    def iterate(self, count: int) -> None:
        for step in self.steps.take(count):
            self.field.add_(_GRADIENT(self.ahead), alpha=step.sigma * self.factor)
            self._project()
            self.target = torch.sub(self.data, _GRADIENT.adjoint(self.field), alpha=self.factor)
            self.ahead = torch.lerp(self.image, self.target, step.extrapolate)
            self.image.lerp_(self.target, step.relax)

    def result(self) -> tuple[Tensor, ...]:
        return (self.image,)

    def relative_gap(self) -> Tensor:
        """`(½‖x − z‖² + Σ(|Kx| − <Kx, p>)) / (½‖x − y‖² + Σ|Kx|)`: terms that are ≥ 0, no cancellation."""
        gradient = _GRADIENT(self.image)
        lengths = magnitude(gradient, (1, 2))
        products = (gradient * self.field).sum((1, 2), keepdim=True) * self.factor
        objective = 0.5 * _squares(self.image - self.data) + lengths.flatten(1).sum(1)
        gap = 0.5 * _squares(self.image - self.target) + (lengths - products).flatten(1).sum(1)
        return torch.where(objective == 0, 0.0, gap / objective)

    def keep(self, index: Tensor) -> None:
        for name in ("data", "image", "ahead", "target", "field"):
            setattr(self, name, getattr(self, name)[index])

    def _project(self) -> None:
        """Onto lengths of at most `2^(−d/2)`."""
        squares = squared_magnitude(self.field, (1, 2)) * self.factor**2
        self.field.mul_(squares.clamp_(min=1).rsqrt_())


class AveragedTangentEngine(AveragedEngine):
    """The iteration and its derivative in one batch of twice the size."""

    def _project(self) -> None:
        value, tangent = self.field.chunk(2)
        squares = squared_magnitude(value, (1, 2)) * self.factor**2
        products = (value * tangent).sum((1, 2), keepdim=True) * self.factor**2
        scale, radial = projection_derivative(squares, products)
        tangent.addcmul_(value, radial, value=-1).mul_(scale)
        value.mul_(scale)


def averaged_derivative(y: Tensor, v: Tensor, count: int) -> Tensor:
    """`J(y) v` of denoising by averaged total variation with weight 1."""
    engine = AveragedTangentEngine(torch.cat([y, v]))
    engine.iterate(count)
    return engine.image[len(y) :]


def _squares(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.flatten(1), dim=1).square()
