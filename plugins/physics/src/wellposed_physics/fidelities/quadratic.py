"""What all weighted least-squares fidelities share."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.fidelity import Fidelity
from wellposed.space import inner, per_sample


class Quadratic(Fidelity):
    """`D(v, y) = ½ Σ w |v − y|²`, the weights `w ≥ 0` given by a subclass."""

    def weights(self, y: Tensor) -> float | Tensor:
        """`w`: a number, or a tensor that broadcasts against `y`."""
        raise NotImplementedError

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        residual, w = v - y, self.weights(y)
        if isinstance(w, Tensor):
            return 0.5 * (w * squared(residual)).flatten(1).sum(1)
        return (0.5 * w) * inner(residual, residual)

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        w = self.weights(y)
        return w * (v - y) if isinstance(w, Tensor) else (v - y).mul_(w)

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        """`(v + s w y) / (1 + s w)`."""
        sw = per_sample(step, v) * self.weights(y)
        share = sw / (1 + sw)
        return v + (y - v) * share if isinstance(share, Tensor) else torch.lerp(v, y, share)

    def prox_conjugate(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        """`w (v − s y) / (w + s)`."""
        s, w = per_sample(step, v), self.weights(y)
        if isinstance(s, Tensor) or isinstance(w, Tensor):
            return (v - s * y) * (w / (w + s))
        return torch.sub(v, y, alpha=s).mul_(w / (w + s))

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        """`Σ Re(p̄ y) + |p|²/(2w)`; infinite where `w = 0` and `p ≠ 0`."""
        square = squared(p)
        w = torch.as_tensor(self.weights(y), dtype=square.dtype, device=square.device)
        penalty = torch.where(square == 0, square, square / (2 * w))
        return inner(p, y) + penalty.flatten(1).sum(1)

    def smoothness(self, y: Tensor) -> float | Tensor:
        w = self.weights(y)
        return w if not isinstance(w, Tensor) else w.expand_as(y).flatten(1).amax(1)

    def strong_convexity(self, y: Tensor) -> float | Tensor:
        w = self.weights(y)
        return w if not isinstance(w, Tensor) else w.expand_as(y).flatten(1).amin(1)


def squared(z: Tensor) -> Tensor:
    """`|z|²`, real, and differentiable at 0."""
    return torch.view_as_real(z).square().sum(-1) if z.is_complex() else z.square()
