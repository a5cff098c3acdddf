"""Data fidelities: how far a predicted measurement is from the measured one."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import CapabilityMissing
from .module import ComponentModule
from .space import per_sample


class Fidelity(ComponentModule):
    """`D(v, y) ≥ 0` for a prediction `v = A(x)` and a measurement `y`, one value per sample.

    Both tensors have shape `(B, *range.shape)`. A subclass implements `forward`, `prox` or
    `prox_conjugate`, and `gradient` where automatic differentiation of `forward` is not the best way.
    Convention of both proximal maps, with `step` a number or `(B,)`:
    `prox(v, y, s) = argmin_w s·D(w, y) + ½‖w − v‖²`.
    """

    #: Whether `D(·, y)` is convex.
    convex: bool = True
    #: Whether the constant of `smoothness` holds for all `v`, and not for `v ≥ 0` alone.
    smooth_everywhere: bool = True

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        """The values `D(v, y)`, shape `(B,)`."""
        raise NotImplementedError

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        """`∇_v D(v, y)`, shape of `v`."""
        with torch.enable_grad():
            keep = v.requires_grad or y.requires_grad
            point = v if v.requires_grad else v.detach().requires_grad_()
            (grad,) = torch.autograd.grad(self.forward(point, y).sum(), point, create_graph=keep)
        return grad

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        """The proximal map of `step · D(·, y)`; by Moreau's identity from `prox_conjugate`."""
        if type(self).prox_conjugate is Fidelity.prox_conjugate:
            raise NotImplementedError(f"{type(self).__name__} implements neither prox nor prox_conjugate")
        s = per_sample(step, v)
        inverse = 1.0 / step
        return v - s * self.prox_conjugate(v / s, y, inverse)

    def prox_conjugate(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        """The proximal map of `step · D*(·, y)`: Moreau, `v − s·prox_{D/s}(v/s)`."""
        s = per_sample(step, v)
        return v - s * self.prox(v / s, y, 1.0 / step)

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor | None:
        """`D*(p, y) = sup_v <v, p> − D(v, y)`, shape `(B,)`; `None` where no formula is known."""
        return None

    def smoothness(self, y: Tensor) -> float | Tensor | None:
        """A Lipschitz constant of `∇_v D(·, y)`, a number or `(B,)`; `None` where there is none.

        Where it holds for `v ≥ 0` alone, `smooth_everywhere` is false: then it is for callers who know that their
        predictions stay there; no default step size and no certificate is made of it.
        """
        return None

    def strong_convexity(self, y: Tensor) -> float | Tensor:
        """`m ≥ 0` such that `D(v, y) − m/2 ‖v‖²` is convex in `v`."""
        return 0.0

    def check(self, y: Tensor) -> None:
        """Raise `InputError` where `y` cannot be a measurement of this noise (negative counts, …)."""

    def take(self, index: Tensor) -> Fidelity:
        """The fidelity of the samples `index`: itself unless it holds per-sample data."""
        return self


class Unstated(Fidelity):
    """No data fidelity is stated: for solvers that minimise nothing (direct inversion, networks)."""

    source = "none: a placeholder"

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        raise CapabilityMissing("this problem states no fidelity, so it has no objective; pose it with one (l2, …)")
