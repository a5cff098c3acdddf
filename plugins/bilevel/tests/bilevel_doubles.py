"""Denoising of signals with nothing but the core: operator, noise, fidelity and regularizers for the tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import Iteration, Iterative, LinearOperator, Noise, Problem, Regularizer, Simulated, Space, State, Stop
from wellposed.space import norm
from wellposed.state import bookkeeping
from wellposed.structure import Structure
from wellposed.testing.doubles import QuadraticFidelity
from wellposed_bilevel.datasets.indicator_signals import IndicatorSignals


class Identity(LinearOperator):
    """Denoising: the identity on signals `(1, pixels)`."""

    source = "none: a test double"

    def __init__(self, pixels: int) -> None:
        super().__init__(Space((1, pixels)), Space((1, pixels)))

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.clone()

    def structure(self) -> Structure:
        return Structure(isometry=1.0)


class White(Noise):
    """Additive Gaussian noise of standard deviation 0.1."""

    source = "none: a test double"

    def forward(self, y: Tensor, generator: torch.Generator) -> Tensor:
        return y + 0.1 * torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype)


class Smoothed(Regularizer):
    """`α Σ √(|x'|² + ν²) + ξ/2 ‖x‖²` on signals `(B, C, pixels)`, with its constants kept from the start."""

    source = "none: a test double"
    capabilities = frozenset({"value", "grad"})
    convex = True

    def __init__(self, alpha: float = 1.0, nu: float = 1e-3, xi: float = 1e-3) -> None:
        super().__init__()
        self.alpha, self.nu, self.xi = alpha, nu, xi
        self.strong_convexity = xi
        self.smoothness = 4 * alpha / nu + xi

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x.diff(dim=-1).square() + self.nu**2).sqrt()
        return self.alpha * lengths.flatten(1).sum(1) + 0.5 * self.xi * norm(x).square()

    def grad(self, x: Tensor) -> Tensor:
        d = x.diff(dim=-1)
        p = d / (d.square() + self.nu**2).sqrt()
        inner = torch.nn.functional.pad(p, (1, 1))
        return -self.alpha * inner.diff(dim=-1) + self.xi * x


class Quadratic(Regularizer):
    """`weight/2 ‖x‖²`: the lower level then has the solution `y/(1 + weight)`."""

    source = "none: a test double"
    capabilities = frozenset({"value", "grad"})
    convex = True

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.strong_convexity = self.smoothness = weight

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * self.weight * norm(x).square()

    def grad(self, x: Tensor) -> Tensor:
        return self.weight * x


@dataclass(frozen=True)
class Accelerated(State):
    """Image, extrapolated point, and the gradient's norm over the strong convexity at the latter."""

    x: Tensor
    z: Tensor
    bound: Tensor = bookkeeping()


class Nesterov(Iteration[Accelerated]):
    """Nesterov's method with constant momentum for denoising; the image is the point that the bound is of."""

    source = "Nesterov 2018, eq. (2.2.22)"
    stationary = True

    def init(self, problem: Problem, x: Tensor | None = None) -> Accelerated:
        x = problem.zeros() if x is None else x
        return Accelerated(x, x, torch.full((len(x),), torch.inf, dtype=x.dtype))

    def step(self, problem: Problem, state: Accelerated) -> Accelerated:
        smooth, convex = self._constants(problem, state.x)
        x = state.z - problem.gradient(state.z) / smooth
        root = (convex / smooth) ** 0.5
        z = x + (1 - root) / (1 + root) * (x - state.x)
        return Accelerated(x, z, (1 - convex / smooth) * norm(x - state.z) * smooth / convex)

    def error_bound(self, problem: Problem, state: Accelerated) -> Tensor:
        return state.bound

    @staticmethod
    def _constants(problem: Problem, x: Tensor) -> tuple[float, float]:
        smooth = problem.regularizer.smoothness_on(x)
        assert smooth is not None
        return 1 + smooth, 1 + problem.regularizer.strong_convexity


def signals(count: int = 20, pixels: int = 256, seed: int = 0) -> Simulated:
    """Noisy indicator signals in double precision."""
    data = Simulated(IndicatorSignals(count, pixels, seed), Identity(pixels), White(), seed)
    return data.to("cpu", torch.float64)


def denoiser(regularizer: Regularizer, limit: int = 20_000, iteration: Iteration | None = None) -> Iterative:
    return Iterative(iteration or Nesterov(), QuadraticFidelity(), regularizer, Stop(limit))
