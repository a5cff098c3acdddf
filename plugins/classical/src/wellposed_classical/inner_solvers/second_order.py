"""Total generalised variation of second order: its value, and denoising by it, to certified gaps.

Both run the relaxed primal–dual method (Condat 2013, algorithm 3.1; Chambolle and Pock 2016) with

    TGV(x) = min_w  Σ|∇x − w| + ratio·Σ|E w|.

A dual point is feasible where `|q| ≤ ratio` and `|E*q| ≤ 1`; the iterate `q` is scaled until it is, so the
gaps are certificates, if pessimistic ones: one pixel decides the scale.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..differences import Differences
from ..magnitude import squared_magnitude
from ..symmetric_differences import SymmetricDifferences
from .batch import Solved, solve_batch
from .denoise import mean_of, normalise
from .derivative import Derivative, projection_derivative

_RELAXATION = 1.8
#: Primal over dual step sizes, in units of the mean size of the gradient.
_VALUE_BALANCE, _DENOISE_BALANCE = 0.3, 0.1

_GRADIENT, _SYMMETRIC = Differences(), SymmetricDifferences()


def second_order_variation(
    gradient: Tensor, ratio: float, tolerance: float, limit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`TGV` of images with the gradients `(N, d, J, *spatial)`: value from above, dual field, relative gap.

    The field `p` is feasible, so `<gradient, p>` is the value from below and `p` its derivative.
    """
    size = _mean_length(gradient)
    scale = torch.where(size > 0, size, 1.0)
    solved = solve_batch(_ValueEngine(gradient / _column(scale, gradient), ratio), tolerance, limit)
    value, field = solved.results
    return value * scale, field, solved.gap


def denoise_second_order(y: Tensor, weight: Tensor, ratio: float, tolerance: float, limit: int) -> Solved:
    """`argmin_x ½‖x − y‖² + weight·TGV(x)` for real images `(N, J, *spatial)`, weights `(N,)`."""
    scaled = normalise(y, weight, _affine_fit)
    solved = solve_batch(_DenoiseEngine(scaled.image, ratio), tolerance, limit)
    return Solved((scaled.restore(solved.results[0], y, weight),), solved.gap, solved.iterations)


def second_order_derivative(ratio: float) -> Derivative:
    """`J(y) v` of `denoise_second_order` with weight 1."""

    def derivative(y: Tensor, v: Tensor, count: int) -> Tensor:
        engine = _TangentEngine(y, v, ratio)
        engine.iterate(count)
        return engine.image[len(y) :]

    return derivative


class _ValueEngine:
    """`min_w max_{|q| ≤ ratio}  Σ|g − w| + <Ew, q>`, all tensors new in each step."""

    def __init__(self, gradient: Tensor, ratio: float) -> None:
        self.gradient, self.ratio = gradient, ratio
        self.w, self.q = torch.zeros_like(gradient), torch.zeros_like(_SYMMETRIC(gradient))
        self.estimate, self.dual = self.w, self.q
        norm = 2 * math.sqrt(gradient.shape[1])
        self.tau, self.sigma = _VALUE_BALANCE / norm, 1 / (_VALUE_BALANCE * norm)

    def iterate(self, count: int) -> None:
        for _ in range(count):
            away = self.w - self.tau * _SYMMETRIC.adjoint(self.q) - self.gradient
            lengths = _length(away)
            shrink = (lengths - self.tau).clamp_min(0) / lengths.clamp_min(self.tau)
            self.estimate = self.gradient + away * shrink
            self.dual = _ball(self.q + self.sigma * _SYMMETRIC(2 * self.estimate - self.w), self.ratio)
            self.w = _relaxed(self.w, self.estimate)
            self.q = _relaxed(self.q, self.dual)

    def result(self) -> tuple[Tensor, ...]:
        return self._value(), self._field()

    def relative_gap(self) -> Tensor:
        value = self._value()
        below = _total(self.gradient * self._field())
        return _relative(value - below, value, _total(_length(self.gradient)))

    def keep(self, index: Tensor) -> None:
        for name in ("gradient", "w", "q", "estimate", "dual"):
            setattr(self, name, getattr(self, name)[index])

    def _value(self) -> Tensor:
        return _total(_length(self.gradient - self.estimate)) + self.ratio * _total(_length(_SYMMETRIC(self.estimate)))

    def _field(self) -> Tensor:
        field = _SYMMETRIC.adjoint(self.dual)
        return field / _column(_length(field).flatten(1).amax(1).clamp_min(1), field)


class _DenoiseEngine:
    """`min_{x,w} max_{|p| ≤ 1, |q| ≤ ratio}  ½‖x − y‖² + <∇x − w, p> + <Ew, q>`."""

    def __init__(self, y: Tensor, ratio: float) -> None:
        self.data, self.ratio = y, ratio
        gradient = _GRADIENT(y)
        self.x = self.image = y
        self.w = self.field = self.p = torch.zeros_like(gradient)
        self.q = self.dual = torch.zeros_like(_SYMMETRIC(gradient))
        # ‖(∇x − w, Ew)‖² ≤ 3/2·4d·‖x‖² + (3 + 4d)·‖w‖², at most 12 in two dimensions.
        norm = math.sqrt(4 * gradient.shape[1] + 4)
        size = _mean_length(gradient)
        self.first_order = size * y[0, 0].numel()
        balance = _column((_DENOISE_BALANCE * size).clamp(1e-3, 1e6), y)
        self.tau, self.sigma = balance / norm, 1 / (balance * norm)

    def iterate(self, count: int) -> None:
        tau, sigma = self.tau, self.sigma
        tau_field, sigma_field = tau.unsqueeze(1), sigma.unsqueeze(1)
        for _ in range(count):
            self.image = (self.x + tau * (self.data - _GRADIENT.adjoint(self.p))) / (1 + tau)
            self.field = self.w + tau_field * (self.p - _SYMMETRIC.adjoint(self.q))
            ahead = 2 * self.field - self.w
            p = self._ball(self.p + sigma_field * (_GRADIENT(2 * self.image - self.x) - ahead), 1.0)
            self.dual = self._ball(self.q + sigma_field * _SYMMETRIC(ahead), self.ratio)
            self.x = _relaxed(self.x, self.image)
            self.w = _relaxed(self.w, self.field)
            self.p = _relaxed(self.p, p)
            self.q = _relaxed(self.q, self.dual)

    def result(self) -> tuple[Tensor, ...]:
        return (self.image,)

    def relative_gap(self) -> Tensor:
        variation = _total(_length(_GRADIENT(self.image) - self.field))
        variation = variation + self.ratio * _total(_length(_SYMMETRIC(self.field)))
        objective = 0.5 * _total((self.image - self.data).square()) + variation
        return _relative(objective - self._dual_objective(), objective, self.first_order)

    def _dual_objective(self) -> Tensor:
        """`max_t t<y, v> − t²/2 ‖v‖²` with `v = ∇*E*q`, over the `t` that keep `t·E*q` feasible."""
        field = _SYMMETRIC.adjoint(self.dual)
        v = _GRADIENT.adjoint(field)
        linear, quadratic = _total(self.data * v), _total(v.square())
        feasible = 1 / _length(field).flatten(1).amax(1)
        t = torch.minimum(feasible, linear / quadratic).nan_to_num().clamp_min(0)
        return t * linear - 0.5 * t.square() * quadratic

    def _ball(self, p: Tensor, radius: float) -> Tensor:
        return _ball(p, radius)

    def keep(self, index: Tensor) -> None:
        for name in ("data", "x", "image", "w", "field", "p", "q", "dual", "tau", "sigma", "first_order"):
            setattr(self, name, getattr(self, name)[index])


class _TangentEngine(_DenoiseEngine):
    """The iteration and its derivative in one batch of twice the size: linear operations act on both alike."""

    def __init__(self, y: Tensor, v: Tensor, ratio: float) -> None:
        super().__init__(torch.cat([y, v]), ratio)
        # The step sizes are those of the value.
        self.tau, self.sigma = (torch.cat([steps[: len(y)]] * 2) for steps in (self.tau, self.sigma))

    def _ball(self, p: Tensor, radius: float) -> Tensor:
        value, tangent = (p / radius).chunk(2)
        products = (value * tangent).sum((1, 2), keepdim=True)
        scale, radial = projection_derivative(squared_magnitude(value, (1, 2)), products)
        return torch.cat([scale * value, scale * (tangent - radial * value)]) * radius


def affine_residual(y: Tensor) -> Tensor:
    """`(N, J, *spatial)` images less their nearest affine ones: what the variation and its denoising see."""
    return y - _affine_fit(y)


def _affine_fit(y: Tensor) -> Tensor:
    """The affine image nearest to each `(N, J)` plane; the variation does not see it."""
    fit = mean_of(y)
    for axis in range(2, y.ndim):
        n = y.shape[axis]
        ramp = torch.arange(n, dtype=y.dtype, device=y.device) - (n - 1) / 2
        ramp = ramp.reshape(-1, *[1] * (y.ndim - 1 - axis))
        if n > 1:
            fit = fit + mean_of(y * ramp) / ramp.square().mean() * ramp
    return fit


def _relaxed(old: Tensor, new: Tensor) -> Tensor:
    return old + _RELAXATION * (new - old)


def _length(p: Tensor) -> Tensor:
    """Euclidean length over components and coupled numbers, `(N, 1, 1, *spatial)`."""
    return squared_magnitude(p, (1, 2)).sqrt()


def _ball(p: Tensor, radius: float) -> Tensor:
    """`p/max(1, |p|/radius)`, without the square root whose derivative at 0 is infinite."""
    return p * (squared_magnitude(p, (1, 2)) / radius**2).clamp_min(1).rsqrt()


def _relative(gap: Tensor, objective: Tensor, first_order: Tensor) -> Tensor:
    """The gap over the objective; for images that are affine up to little, over 1e-6 of the first-order variation.

    Gaps below its rounding count as 0.
    """
    rounding = 16 * torch.finfo(gap.dtype).eps * first_order
    return torch.where(gap <= rounding, 0.0, gap / torch.maximum(objective, 1e-6 * first_order))


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


def _mean_length(gradient: Tensor) -> Tensor:
    return _length(gradient).flatten(1).mean(1)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 1))
