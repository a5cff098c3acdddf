"""What a sampler needs of a diffusion model: a noise schedule, and the noise that it sees in an image."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.network import Network
from wellposed.space import Space


class DiffusionPrior(Network):
    """`u_t = √ᾱ_t u_0 + √(1−ᾱ_t) ε`, `t = 0 … T−1`, and an estimate `ε(u_t, t)` of the noise in it.

    A subclass writes `noise`. Images are `x = center + scale·u`, so that `u` is of the size that networks like.
    As a network it is the denoiser `x ↦ E[x_0 | x_0 + σ n = x]` at its `noise_level` σ.

    Shapes: images `(B, channels, rows, columns)`. Raises `InputError` for numbers out of range.
    """

    #: ᾱ, `(T,)`, falling from near 1 to near 0.
    alphas: Tensor

    def __init__(
        self, shape: tuple[int, int], channels: int, alphas: Tensor, center: float, scale: float, noise_level: float
    ) -> None:
        super().__init__()
        if not (scale > 0 and noise_level > 0):
            raise InputError(
                f"{type(self).__name__} needs scale and noise_level > 0; {scale} and {noise_level} were given"
            )
        self.domain = Space((channels, *shape))
        self.center, self.scale, self.noise_level = center, scale, noise_level
        self.register_buffer("alphas", alphas, persistent=False)

    def noise(self, u: Tensor, t: int | Tensor) -> Tensor:
        """`ε(u_t, t)`, shape of `u`; `t` an index or one for each sample `(B,)`."""
        raise NotImplementedError

    def clean(self, u: Tensor, t: int) -> Tensor:
        """Tweedie's estimate `E[u_0 | u_t] = (u_t − √(1−ᾱ) ε)/√ᾱ`."""
        alpha = self.alphas[t]
        return (u - (1 - alpha).sqrt() * self.noise(u, t)) / alpha.sqrt()

    def deviation(self) -> Tensor:
        """`√((1−ᾱ)/ᾱ)·scale` of each `t`: the noise of `x_t/√ᾱ_t`, in the unit of the images."""
        return ((1 - self.alphas) / self.alphas).sqrt() * self.scale

    def scaled(self, x: Tensor) -> Tensor:
        return (x - self.center) / self.scale

    def image(self, u: Tensor) -> Tensor:
        return self.center + self.scale * u

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.domain.shape:
            raise ShapeError(f"this diffusion model is of images {self.domain.shape}; {tuple(x.shape)} were given")
        t = int((self.deviation() - self.noise_level).abs().argmin())
        return self.image(self.clean(self.scaled(x) * self.alphas[t].sqrt(), t))


def linear_schedule(steps: int) -> Tensor:
    """`ᾱ_t = Π (1 − β_s)`, β rising from 1e-4 to 0.02 as Ho et al. have it for 1000 steps; shorter ones rise faster."""
    if steps < 20:
        raise InputError(f"a diffusion model needs at least 20 steps; {steps} was given")
    betas = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * (1000 / steps)
    return torch.cumprod(1 - betas.clamp_max(0.999), 0)
