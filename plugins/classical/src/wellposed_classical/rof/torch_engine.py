"""The iteration of total-variation denoising in torch: any device, any number of axes, coupled channels."""

from __future__ import annotations

import torch
from torch import Tensor

from .engine import Coupling, Step


class TorchEngine:
    """Every operation of `iterate` writes in place, and no tensor is allocated in it.

    The dual field of axis `k` lies in a buffer with one more slice along `k`: slice 0 and the last one
    stay zero, so that the boundary conditions of `∇` and `∇*` need no operation of their own.
    """

    def __init__(self, y: Tensor, coupling: Coupling) -> None:
        self.isotropic = coupling == "isotropic"
        self.axes = range(2, y.ndim)
        fields = [y.new_zeros(_longer(y, axis)) for axis in self.axes]
        self._hold(y, y.clone(), y.clone(), y.clone(), fields)

    def iterate(self, steps: list[Step]) -> None:
        for step in steps:
            for edges, above, below in self.gradients:
                edges.add_(above, alpha=step.sigma).sub_(below, alpha=step.sigma)
            self._project()
            first, *others = zip(self.fields, self.shifted, strict=True)
            torch.sub(*first, out=self.target)
            for field, shifted in others:
                self.target.add_(field).sub_(shifted)
            self.target.add_(self.data)
            torch.lerp(self.image, self.target, step.extrapolate, out=self.ahead)
            self.image.lerp_(self.target, step.relax)

    def relative_gap(self) -> Tensor:
        """`(½‖x − z‖² + Σ|∇x| − <∇x, p>) / (½‖x − y‖² + Σ|∇x|)`: sums of terms that are ≥ 0, no cancellation."""
        groups: list[list[tuple[Tensor, Tensor]]] = [[] for _ in ([0] if self.isotropic else self.axes)]
        for k, axis in enumerate(self.axes):
            n = self.image.shape[axis]
            part = torch.zeros_like(self.image)
            torch.sub(
                self.image.narrow(axis, 1, n - 1), self.image.narrow(axis, 0, n - 1), out=part.narrow(axis, 0, n - 1)
            )
            groups[0 if self.isotropic else k].append((part, self.fields[k]))
        gap = 0.5 * _total((self.image - self.target).square_())
        objective = 0.5 * _total((self.image - self.data).square_())
        for group in groups:
            lengths = _lengths([part for part, _ in group])
            products = [(part * field).sum(1, keepdim=True) for part, field in group]
            objective += _total(lengths)
            gap += _total(lengths - torch.stack(products).sum(0) if len(products) > 1 else lengths - products[0])
        return torch.where(objective == 0, 0.0, gap / objective)

    def keep(self, index: Tensor) -> None:
        state = (self.data, self.image, self.ahead, self.target)
        self._hold(*(tensor[index] for tensor in state), [field[index] for field in self.padded])

    def _hold(self, data: Tensor, image: Tensor, ahead: Tensor, target: Tensor, padded: list[Tensor]) -> None:
        self.data, self.image, self.ahead, self.target, self.padded = data, image, ahead, target, padded
        self.scale = torch.empty_like(image[:, :1])
        self.fields, self.shifted, self.gradients = [], [], []
        for axis, field in zip(self.axes, padded, strict=True):
            n = image.shape[axis]
            self.fields.append(field.narrow(axis, 1, n))
            self.shifted.append(field.narrow(axis, 0, n))
            self.gradients.append(
                (field.narrow(axis, 1, n - 1), ahead.narrow(axis, 1, n - 1), ahead.narrow(axis, 0, n - 1))
            )

    def _project(self) -> None:
        """`p/max(1, |p|)` over each group: all directions, or each one alone; the channels of `J` always together."""
        if self.isotropic:
            self._project_group(self.fields)
        elif self.image.shape[1] == 1:
            for field in self.fields:
                field.clamp_(-1, 1)
        else:
            for field in self.fields:
                self._project_group([field])

    def _project_group(self, fields: list[Tensor]) -> None:
        first, *others = (c for field in fields for c in field.split(1, dim=1))
        torch.mul(first, first, out=self.scale)
        for channel in others:
            self.scale.addcmul_(channel, channel)
        self.scale.clamp_(min=1).rsqrt_()
        for field in fields:
            field.mul_(self.scale)


def _longer(y: Tensor, axis: int) -> list[int]:
    return [n + (k == axis) for k, n in enumerate(y.shape)]


def _lengths(parts: list[Tensor]) -> Tensor:
    """`(Σ part²)^½` over all parts and their channels, `(N, 1, *spatial)`."""
    squares = parts[0].square()
    for part in parts[1:]:
        squares.addcmul_(part, part)
    return (squares.sum(1, keepdim=True) if squares.shape[1] > 1 else squares).sqrt_()


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)
