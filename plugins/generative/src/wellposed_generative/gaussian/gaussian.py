"""A Gaussian of images, by its mean and the Cholesky factor of its precision."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .factor import Factor


@dataclass(frozen=True)
class Gaussian:
    """`N(μ, (L Lᵀ)⁻¹)` for each sample of a batch; `mean` μ `(B, C, H, W)`."""

    mean: Tensor
    factor: Factor

    def energy(self, u: Tensor) -> Tensor:
        """`½‖Lᵀ(u − μ)‖² − Σ l`: minus the log-density up to `n/2 log 2π`, shape `(B,)`."""
        return self.factor.energy(u - self.mean)

    def slope(self, u: Tensor) -> Tensor:
        """The gradient of the energy, `L Lᵀ(u − μ)`."""
        return self.factor.precision(u - self.mean)

    def detach(self) -> Gaussian:
        return Gaussian(self.mean.detach(), self.factor.detach())
