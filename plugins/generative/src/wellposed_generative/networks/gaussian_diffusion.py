"""The diffusion model of independent Gaussian pixels, in closed form."""

from __future__ import annotations

from torch import Tensor

from wellposed.errors import InputError

from .diffusion_prior import DiffusionPrior, linear_schedule


class GaussianDiffusion(DiffusionPrior):
    """`x ~ N(mean, std²·I)`: its denoiser is known, so what a sampler does with it can be compared with the posterior.

    `E[x_0 | x_0 + σ n = x] = (std² x + σ² mean)/(std² + σ²)`. The schedule is linear in β over `steps`, and
    `u = (x − mean)/std` has variance 1 at every time. Images `(B, channels, *shape)`; as a network it is the denoiser
    for `noise_level` σ.

    Raises `InputError` unless `std > 0` and `steps ≥ 20`.
    """

    source = "Efron 2011, Tweedie's formula and selection bias, eq. (1.4); Ho, Jain & Abbeel 2020 (schedule)"

    def __init__(
        self,
        shape: tuple[int, int] = (16, 16),
        channels: int = 1,
        mean: float = 0.5,
        std: float = 0.25,
        steps: int = 1000,
        noise_level: float = 0.1,
    ) -> None:
        if not std > 0:
            raise InputError(f"gaussian-diffusion needs std > 0; {std} was given")
        super().__init__(shape, channels, linear_schedule(steps), mean, std, noise_level)

    def noise(self, u: Tensor, t: int | Tensor) -> Tensor:
        rest = (1 - self.alphas[t]).sqrt().to(u)
        return u * (rest.reshape(-1, 1, 1, 1) if rest.ndim else rest)
