"""One step of plug-and-play image restoration with a diffusion model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.dataset import generator_of
from wellposed.errors import CompositionError, InputError
from wellposed.iteration import Iteration
from wellposed.operator import LinearOperator
from wellposed.problem import Problem
from wellposed.state import State

from ..images import as_channels, from_channels
from ..networks.diffusion_prior import DiffusionPrior
from .quadratic import data_curvature, data_slope


@dataclass(frozen=True)
class Diffused(State):
    """`noisy` `u_t` and `clean` `x_0`, images with real channels `(B, C, H, W)`; `count`: steps done, on the CPU."""

    noisy: Tensor
    clean: Tensor
    count: Tensor


class DiffPirSteps(Iteration[Diffused]):
    """Denoise, fit to the data, and add less noise again; see the solver `diffpir`."""

    source = "Zhu et al. 2023, Denoising diffusion models for plug-and-play image restoration, algorithm 1"
    stationary = False
    solves = "data"

    def __init__(
        self,
        prior: DiffusionPrior,
        times: tuple[int, ...],
        strength: float,
        renewal: float,
        prior_std: float | None,
        seed: int,
    ) -> None:
        super().__init__()
        self.prior, self.times, self.seed = prior, times, seed
        self.strength, self.renewal, self.prior_std = strength, renewal, prior_std

    def check(self, problem: Problem) -> None:
        super().check(problem)
        data_curvature(self, problem)
        u = as_channels(problem.zeros()[:1])
        if u.shape[1:] != self.prior.domain.shape:
            raise CompositionError(
                f"this diffusion model makes images {self.prior.domain.shape} (real and imaginary part count as two "
                f"channels); those of {type(problem.operator).__name__} are {problem.operator.domain.shape}"
            )

    def init(self, problem: Problem, x: Tensor | None = None) -> Diffused:
        clean = as_channels(problem.zeros() + self.prior.center if x is None else x)
        alpha = self.prior.alphas[self.times[0]].to(clean)
        noisy = alpha.sqrt() * self.prior.scaled(clean) + (1 - alpha).sqrt() * self._draw(0, clean)
        return Diffused(noisy, clean, torch.zeros(len(clean), dtype=torch.int64))

    def step(self, problem: Problem, state: Diffused) -> Diffused:
        k = int(state.count[0])  # all samples of a batch are at the same step
        if k >= len(self.times):
            raise InputError(f"this sampler was made with {len(self.times)} steps; it has no step {k + 1}")
        t, u = self.times[k], state.noisy
        alpha = self.prior.alphas[t].to(u)
        clean = self._fit(problem, self.prior.image(self.prior.clean(u, t).to(u.dtype)), t)
        if k + 1 == len(self.times):
            return Diffused(self.prior.scaled(clean), clean, state.count + 1)
        after = self.prior.alphas[self.times[k + 1]].to(u)
        scaled = self.prior.scaled(clean)
        effective = (u - alpha.sqrt() * scaled) / (1 - alpha).sqrt()
        fresh = self.renewal**0.5 * self._draw(k + 1, u) if self.renewal else 0.0
        noisy = after.sqrt() * scaled + (1 - after).sqrt() * ((1 - self.renewal) ** 0.5 * effective + fresh)
        return Diffused(noisy, clean, state.count + 1)

    def estimate(self, state: Diffused) -> Tensor:
        return state.clean

    def _fit(self, problem: Problem, clean: Tensor, t: int) -> Tensor:
        """`argmin_x w/2 ‖Ax − y‖² + λ/(2 r_t²) ‖x − x̂_0‖²`."""
        operator, curvature = problem.operator, data_curvature(self, problem)
        assert isinstance(operator, LinearOperator)  # checked before the first step
        variance = self.prior.deviation()[t].square()
        if self.prior_std is not None:
            variance = variance * self.prior_std**2 / (variance + self.prior_std**2)
        shift = self.strength / (variance * curvature)
        point = from_channels(clean, problem.zeros())
        shift = torch.as_tensor(shift, dtype=clean.dtype, device=clean.device)
        whole = shift.reshape(-1, *[1] * (point.ndim - 1)) if shift.ndim else shift
        back = operator.adjoint(data_slope(problem)) / curvature_like(curvature, point)
        return as_channels(operator.solve_normal(whole * point - back, shift))

    def _draw(self, k: int, like: Tensor) -> Tensor:
        """The noise of step `k`, the same for every sample of the batch."""
        generator = generator_of(self.seed, k)
        noise = torch.randn(like.shape[1:], generator=generator, dtype=torch.float64)
        return noise.to(like)[None]


def curvature_like(curvature: float | Tensor, x: Tensor) -> float | Tensor:
    return curvature.reshape(-1, *[1] * (x.ndim - 1)) if isinstance(curvature, Tensor) and curvature.ndim else curvature
