"""The iteration of total-variation denoising in torch: any device, any number of axes, coupled channels."""

from __future__ import annotations

import torch
from torch import Tensor

from .step_sizes import Coupling, Steps


class TorchEngine:
    """Every operation of `iterate` writes in place, and no tensor is allocated in it.

    The dual field of axis `k` lies in a buffer with one more slice along `k`: slice 0 and the last one
    stay zero, so that the boundary conditions of `∇` and `∇*` need no operation of their own.
    """

    def __init__(self, y: Tensor, coupling: Coupling) -> None:
        self.isotropic = coupling == "isotropic"
        self.axes = range(2, y.ndim)
        self.steps = Steps(y.ndim - 2)
        padded = [y.new_zeros([n + (k == axis) for k, n in enumerate(y.shape)]) for axis in self.axes]
        self._hold(y, y.clone(), y.clone(), y.clone(), padded)

    def iterate(self, count: int) -> None:
        for step in self.steps.take(count):
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

    def result(self) -> tuple[Tensor, ...]:
        return (self.image,)

    def relative_gap(self) -> Tensor:
        """`(½‖x − z‖² + Σ(|∇x| − <∇x, p>)) / (½‖x − y‖² + Σ|∇x|)`: terms that are ≥ 0, no cancellation."""
        work = torch.sub(self.image, self.target)
        gap = 0.5 * _squared_norm(work)
        objective = 0.5 * _squared_norm(torch.sub(self.image, self.data, out=work))
        lengths, products = torch.zeros_like(self.scale), torch.zeros_like(self.scale)
        for k, axis in enumerate(self.axes):
            n = self.image.shape[axis]
            after, before = self.image.narrow(axis, 1, n - 1), self.image.narrow(axis, 0, n - 1)
            torch.sub(after, before, out=work.narrow(axis, 0, n - 1))
            work.narrow(axis, n - 1, 1).zero_()
            for component, field in zip(work.split(1, 1), self.fields[k].split(1, 1), strict=True):
                lengths.addcmul_(component, component)
                products.addcmul_(component, field)
            if not self.isotropic or axis == self.axes[-1]:
                lengths.sqrt_()
                objective += lengths.flatten(1).sum(1)
                gap += products.neg_().add_(lengths).flatten(1).sum(1)
                lengths.zero_()
                products.zero_()
        return torch.where(objective == 0, 0.0, gap / objective)

    def keep(self, index: Tensor) -> None:
        data, image, ahead, target = (t[index] for t in (self.data, self.image, self.ahead, self.target))
        self._hold(data, image, ahead, target, [field[index] for field in self.padded])

    def _hold(self, data: Tensor, image: Tensor, ahead: Tensor, target: Tensor, padded: list[Tensor]) -> None:
        """Keep the state, and all views of it that the iteration needs."""
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
        """`p/max(1, |p|)` over all directions, or each alone; the numbers of a pixel always together."""
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
        for component in others:
            self.scale.addcmul_(component, component)
        self.scale.clamp_(min=1).rsqrt_()
        for field in fields:
            field.mul_(self.scale)


def _squared_norm(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.flatten(1), dim=1).square()
