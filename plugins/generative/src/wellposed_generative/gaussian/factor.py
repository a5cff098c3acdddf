"""The sparse Cholesky factor of a precision matrix, and the Gaussian that it describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wellposed.space import inner

from .neighbourhood import channel_pairs, half_neighbourhood, padded, shifted
from .triangular import solve_upper


@dataclass(frozen=True)
class Factor:
    """`L` of a Gaussian `N(μ, (L Lᵀ)⁻¹)` for each sample of a batch; `Lᵀ` is upper triangular in raster order.

    `(Lᵀv)_{p,c} = exp(l_{p,c}) v_{p,c} + Σ_{d>c} k_{p,cd} v_{p,d} + Σ_{f∈F} w_{f,p,c} v_{p+f,c}`, with `F` the
    half neighbourhood after a pixel; what lies outside the image is dropped.

    Shapes: `log_diagonal` l `(B, C, H, W)`; `neighbours` w `(B, C, |F|, H, W)`, `None` where `L` is diagonal in
    space; `cross` k `(B, C(C−1)/2, H, W)`, `None` where the channels are independent given the later pixels.
    All is differentiable in the coefficients and the images.
    """

    log_diagonal: Tensor
    neighbours: Tensor | None = None
    cross: Tensor | None = None
    radius: int = 0

    def detach(self) -> Factor:
        """The same factor without a graph."""
        cross = None if self.cross is None else self.cross.detach()
        neighbours = None if self.neighbours is None else self.neighbours.detach()
        return Factor(self.log_diagonal.detach(), neighbours, cross, self.radius)

    @cached_property
    def diagonal(self) -> Tensor:
        return self.log_diagonal.exp()

    def transpose(self, v: Tensor) -> Tensor:
        """`Lᵀ v`, images `(B, C, H, W)`: of a sample of the Gaussian around 0 it is white noise."""
        out = self.diagonal * v
        if self.neighbours is not None:
            frame = padded(v, self.radius)
            for f, offset in enumerate(half_neighbourhood(self.radius)):
                out = out.addcmul(self.neighbours[:, :, f], shifted(frame, self.radius, offset))
        if self.cross is None:
            return out
        return out + self._across(v, lower=False)

    def apply(self, v: Tensor) -> Tensor:
        """`L v`."""
        out = self.diagonal * v
        if self._arriving is not None:
            frame = padded(v, self.radius)
            for f, (a, d) in enumerate(half_neighbourhood(self.radius)):
                out = out.addcmul(self._arriving[:, :, f], shifted(frame, self.radius, (-a, -d)))
        if self.cross is None:
            return out
        return out + self._across(v, lower=True)

    def precision(self, v: Tensor) -> Tensor:
        """`L Lᵀ v`."""
        return self.apply(self.transpose(v))

    def log_determinant(self) -> Tensor:
        """`log det (L Lᵀ) = 2 Σ l`, shape `(B,)`."""
        return 2 * self.log_diagonal.flatten(1).sum(1)

    def energy(self, v: Tensor) -> Tensor:
        """`½‖Lᵀv‖² − Σ l`: minus the log-density of `v` around the mean, up to `n/2 log 2π`; shape `(B,)`."""
        white = self.transpose(v)
        return 0.5 * inner(white, white) - 0.5 * self.log_determinant()

    def log_density(self, v: Tensor) -> Tensor:
        """The log-density of `μ + v`, shape `(B,)`."""
        return -self.energy(v) - 0.5 * math.log(2 * math.pi) * v[0].numel()

    def solve_transpose(self, noise: Tensor) -> Tensor:
        """`L⁻ᵀ ε`: a sample of the Gaussian around 0 where `ε` is white noise. Exact, by back substitution."""
        if self.neighbours is None and self.cross is None:
            return noise / self.diagonal
        return solve_upper(self.log_diagonal, self.neighbours, self.cross, self.radius, noise)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One sample around 0 for each of the batch, the noise drawn on the generator's device."""
        like = self.log_diagonal
        noise = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device)
        return self.solve_transpose(noise.to(like.device))

    @cached_property
    def _arriving(self) -> Tensor | None:
        """`w_{f,q−f}`: the weights sorted by the pixel at which they arrive, `None` where there are none."""
        if self.neighbours is None:
            return None
        frame = padded(self.neighbours, self.radius)
        offsets = half_neighbourhood(self.radius)
        moved = [shifted(frame[:, :, f], self.radius, (-a, -d)) for f, (a, d) in enumerate(offsets)]
        return torch.stack(moved, 2)

    def _across(self, v: Tensor, *, lower: bool) -> Tensor:
        """What the other channels of the same pixel add."""
        assert self.cross is not None
        parts: list[Tensor | None] = [None] * v.shape[1]
        for k, (c, d) in enumerate(channel_pairs(v.shape[1])):
            to, source = (d, c) if lower else (c, d)
            term, sofar = self.cross[:, k] * v[:, source], parts[to]
            parts[to] = term if sofar is None else sofar + term
        return torch.stack([torch.zeros_like(v[:, 0]) if part is None else part for part in parts], 1)
