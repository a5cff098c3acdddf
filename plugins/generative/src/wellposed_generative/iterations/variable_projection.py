"""Descent in the latent vector, with the image that follows it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.errors import CompositionError, InputError
from wellposed.iteration import Iteration
from wellposed.linear_algebra import conjugate_gradient
from wellposed.operator import LinearOperator
from wellposed.problem import Problem
from wellposed.regularizer import Regularizer, Weighted
from wellposed.space import inner, per_sample
from wellposed.state import State, bookkeeping, derived

from ..gaussian.gaussian import Gaussian
from ..images import as_channels, from_channels
from ..latent import backtrack, direction, first_metric, updated_metric
from ..regularizers.generative_gaussian import GenerativeGaussian
from .quadratic import data_curvature, data_slope


@dataclass(frozen=True)
class Joint(State):
    """Images `(B, K, *domain.shape)` and latent vectors `(B, K, d)` of `K` starts.

    `metric` `(B, K, d, d)`: what BFGS knows of the curvature; `before` and `slope` `(B, K, d)`: the last latent
    vectors and gradients. `objective` `(B, K)`: `D(Au, y) + R(u, z)`; the start with the lowest is the estimate.
    """

    image: Tensor
    latent: Tensor
    metric: Tensor = bookkeeping()
    before: Tensor = bookkeeping()
    slope: Tensor = bookkeeping()
    objective: Tensor = derived()


class VariableProjection(Iteration[Joint]):
    """Minimise `J(u, z) = D(Au, y) + λ (½‖L(z)ᵀ(u − μ(z))‖² − Σ l(z) + ω/2 ‖z‖²)` over image and latent vector.

    Each step moves `z` along `−M ∇_z J` and lets `u` follow: it solves `(w A*A + λ L Lᵀ) u = w A*y + λ L Lᵀ μ` at the
    new `z` by conjugate gradients from the last `u`. The pair is taken if it lowers `J` enough (Armijo), else `z`
    moves a quarter as far. `M` is the BFGS inverse Hessian of `min_u J(u, ·)`, so that `z` does not crawl where `u`
    is tied to `μ(z)`. `J` never rises, for every sample and start by steps of its own.

    `J` is not convex in `z`, so it is begun `starts` times: with the encoder's guess for the start image (a first
    reconstruction: the `init` of the solver), and with random latent vectors. The estimate is the image of the
    lowest `J`.

    Args:
        starts: number of starts; the cost is proportional to it.
        image_steps: limit of conjugate gradient steps at each `z`.
        seed: of the random starts, which are the same for every sample.

    Needs `generative-gaussian`, a quadratic fidelity of one weight (`l2`) and a linear operator; raises
    `CompositionError` otherwise. Source: Duff et al. 2023 and 2024; Golub and Pereyra 1973 (variable projection).
    """

    source = (
        "Duff, Campbell & Ehrhardt 2024, J. Math. Imaging Vis. 66:37, section 4; Golub & Pereyra 1973, SIAM JNA 10:413"
    )
    requires = frozenset({"value", "grad"})
    stationary = False
    differentiable = False

    def __init__(self, starts: int = 1, image_steps: int = 20, seed: int = 0) -> None:
        super().__init__()
        for name, value in (("starts", starts), ("image_steps", image_steps)):
            if value < 1:
                raise InputError(f"variable-projection needs {name} ≥ 1; {value} was given")
        self.starts, self.image_steps, self.seed = starts, image_steps, seed

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"starts": 3, "image_steps": 10})

    @classmethod
    def example_problem(cls, batch: int = 3) -> Problem:
        """What the conformance kit runs it on: blurred images of a model, with a little noise."""
        from wellposed.testing.doubles import PeriodicBlur, QuadraticFidelity

        from ..networks.vae_covariance import VaeCovariance

        operator = PeriodicBlur((1, 6, 6)).to(torch.float64)
        model = VaeCovariance((6, 6), latent=2, width=4).to(torch.float64)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            y = operator(model.sample(batch, generator) + 0.5)
        return Problem(operator, y, QuadraticFidelity(), 0.1 * GenerativeGaussian(model))

    def check(self, problem: Problem) -> None:
        super().check(problem)
        regularizer, _ = _parts(problem.regularizer)
        u = as_channels(problem.zeros()[:1])
        if u.shape[1:] != regularizer.model.domain.shape:
            raise CompositionError(
                f"the model of generative-gaussian makes images {regularizer.model.domain.shape}; those of "
                f"{type(problem.operator).__name__} are {problem.operator.domain.shape}"
                + (", complex" if problem.operator.domain.is_complex else "")
                + "; a real model takes the place of complex images behind the operator 'complexify'"
            )
        data_curvature(self, problem)

    def init(self, problem: Problem, x: Tensor | None = None) -> Joint:
        regularizer, _ = _parts(problem.regularizer)
        start = problem.zeros() if x is None else x
        model = regularizer.model
        with torch.no_grad():
            guess = model.encode(regularizer.channels(start))[0]
        generator = torch.Generator().manual_seed(self.seed)
        others = torch.randn((self.starts - 1, model.latent), generator=generator, dtype=torch.float64).to(guess)
        latent = torch.cat([guess[:, None], others.expand(len(guess), -1, -1)], 1)
        image = start[:, None].expand(-1, self.starts, *[-1] * (start.ndim - 1)).clone()
        metric = first_metric(latent.flatten(0, 1)).unflatten(0, latent.shape[:2])
        many = _repeated(problem, self.starts)
        with torch.no_grad():
            z = latent.flatten(0, 1)
            objective = self._objective(many, image.flatten(0, 1), z, model.given(z))
        zero = torch.zeros_like(latent)
        return Joint(image, latent, metric, latent, zero, objective.unflatten(0, latent.shape[:2]))

    def step(self, problem: Problem, state: Joint) -> Joint:
        size = state.latent.shape[:2]
        many = _repeated(problem, size[1])
        image, z, metric, before, slope = (
            t.flatten(0, 1) for t in (state.image, state.latent, state.metric, state.before, state.slope)
        )
        model = _parts(problem.regularizer)[0].model
        with torch.enable_grad():
            point = z.detach().requires_grad_()
            here = model.given(point)
        with torch.no_grad():
            image = self._image_step(many, image, here.detach())  # of use where no step in z is found
        with torch.enable_grad():
            value = self._objective(many, image, point, here)
            (gradient,) = torch.autograd.grad(value.sum(), point)
        metric = updated_metric(metric, z - before, gradient - slope)
        move = direction(metric, gradient)

        def attempt(p: Tensor) -> tuple[Tensor, Tensor]:
            there = model.given(p)
            follows = self._image_step(many, image, there)
            return self._objective(many, follows, p, there), follows

        with torch.no_grad():
            after, image, objective, moved = backtrack(attempt, z, image, value.detach(), move, inner(move, gradient))
            metric = torch.where(moved[:, None, None], metric, 1e-2 * first_metric(z))
        parts = (image, after, metric, z, gradient, objective)
        return Joint(*(t.unflatten(0, size) for t in parts))

    def estimate(self, state: Joint) -> Tensor:
        best = torch.nan_to_num(state.objective, nan=torch.inf).argmin(1)
        return state.image[torch.arange(len(best), device=best.device), best]

    def _image_step(self, problem: Problem, x: Tensor, gaussian: Gaussian) -> Tensor:
        """Conjugate gradients on the quadratic in the image, from `x`, for the model's `gaussian` at a `z`."""
        _, weight = _parts(problem.regularizer)
        operator, curvature = problem.operator, data_curvature(self, problem)
        assert isinstance(operator, LinearOperator)  # checked before the first step

        def penalty(v: Tensor) -> Tensor:
            return weight * from_channels(gaussian.factor.precision(as_channels(v)), v)

        def apply(v: Tensor) -> Tensor:
            return per_sample(curvature, v) * operator.gram(v) + penalty(v)

        rhs = penalty(from_channels(gaussian.mean, x)) - operator.adjoint(data_slope(problem))
        return conjugate_gradient(apply, rhs, start=x, limit=self.image_steps)

    @staticmethod
    def _objective(problem: Problem, x: Tensor, z: Tensor, gaussian: Gaussian) -> Tensor:
        regularizer, weight = _parts(problem.regularizer)
        return problem.data_value(x) + weight * regularizer.beside(gaussian, as_channels(x), z)


def _parts(regularizer: Regularizer) -> tuple[GenerativeGaussian, float | Tensor]:
    """The generative regularizer and its weight; raises `CompositionError` for any other."""
    weight: float | Tensor = 1.0
    inner = regularizer
    while isinstance(inner, Weighted):
        weight, inner = weight * inner.weight, inner.regularizer
    if not isinstance(inner, GenerativeGaussian):
        raise CompositionError(
            f"variable-projection moves the latent vector of generative-gaussian; {type(inner).__name__} has none"
        )
    return inner, weight


def _repeated(problem: Problem, count: int) -> Problem:
    """Each sample `count` times, one after another."""
    if count == 1:
        return problem
    index = torch.arange(problem.batch, device=problem.measurement.device).repeat_interleave(count)
    return problem.take(index)
