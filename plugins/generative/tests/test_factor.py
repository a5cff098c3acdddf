"""The sparse Cholesky factor against dense linear algebra."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wellposed_generative.gaussian.factor import Factor
from wellposed_generative.gaussian.neighbourhood import channel_pairs, half_neighbourhood

CASES = [(1, 2, 8, 8), (1, 1, 8, 8), (2, 2, 8, 8), (2, 0, 4, 6), (3, 1, 5, 7), (1, 4, 8, 8), (1, 2, 2, 3), (1, 3, 6, 1)]


def random_factor(channels: int, radius: int, height: int, width: int, batch: int = 2) -> Factor:
    g = torch.Generator().manual_seed(channels + 10 * radius)
    count, pairs = len(half_neighbourhood(radius)), len(channel_pairs(channels))

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, height, width, generator=g, dtype=torch.float64)

    return Factor(
        0.4 * normal(channels),
        0.3 * normal(channels, count) if radius else None,
        0.5 * normal(pairs) if pairs else None,
        radius,
    )


def dense(factor: Factor, sample: int) -> Tensor:
    """`L` of one sample, written entry by entry from its definition: pixels in raster order, channels inside."""
    _, channels, height, width = factor.log_diagonal.shape
    upper = torch.zeros((height * width * channels,) * 2, dtype=torch.float64)

    def place(row: int, column: int, channel: int) -> int:
        return (row * width + column) * channels + channel

    for i in range(height):
        for j in range(width):
            for c in range(channels):
                p = place(i, j, c)
                upper[p, p] = factor.log_diagonal[sample, c, i, j].exp()
                for k, (first, second) in enumerate(channel_pairs(channels)):
                    if first == c and factor.cross is not None:
                        upper[p, place(i, j, second)] = factor.cross[sample, k, i, j]
                for f, (a, d) in enumerate(half_neighbourhood(factor.radius)):
                    if factor.neighbours is not None and i + a < height and 0 <= j + d < width:
                        upper[p, place(i + a, j + d, c)] = factor.neighbours[sample, c, f, i, j]
    return upper.T


def vector(image: Tensor) -> Tensor:
    return image.permute(1, 2, 0).reshape(-1)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_dense_matrix(case: tuple[int, int, int, int]) -> None:
    factor = random_factor(*case)
    channels, _, height, width = case
    v = torch.randn(2, channels, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    for b in range(2):
        L = dense(factor, b)
        assert torch.equal(L, L.tril())
        x = vector(v[b])
        precision = L @ L.T
        for ours, exact in (
            (factor.transpose(v)[b], L.T @ x),
            (factor.apply(v)[b], L @ x),
            (factor.precision(v)[b], precision @ x),
            (factor.solve_transpose(v)[b], torch.linalg.solve(L.T, x)),
        ):
            assert float((vector(ours) - exact).norm() / exact.norm()) <= 1e-12
        assert float(factor.log_determinant()[b]) == pytest.approx(float(torch.logdet(precision)), abs=1e-10)
        gaussian = torch.distributions.MultivariateNormal(torch.zeros_like(x), precision_matrix=precision)
        assert float(factor.log_density(v)[b]) == pytest.approx(float(gaussian.log_prob(x)), rel=1e-10)
        energy = -factor.log_density(v)[b] - 0.5 * len(x) * math.log(2 * math.pi)
        assert float(factor.energy(v)[b]) == pytest.approx(float(energy), rel=1e-12)


def test_samples_have_the_covariance_of_the_inverse_precision() -> None:
    """As a matrix exactly: sampling maps white noise by `L⁻ᵀ`, and `L⁻ᵀ L⁻¹` is the covariance. And by Monte Carlo."""
    factor = random_factor(1, 2, 8, 8, batch=1)
    many = Factor(factor.log_diagonal.expand(64, -1, -1, -1), _repeat(factor.neighbours, 64), None, 2)
    columns = many.solve_transpose(torch.eye(64, dtype=torch.float64).reshape(64, 1, 8, 8)).reshape(64, 64).T
    L = dense(factor, 0)
    covariance = torch.linalg.inv(L @ L.T)
    assert float((columns @ columns.T - covariance).norm() / covariance.norm()) <= 1e-10
    count = 20000
    many = Factor(factor.log_diagonal.expand(count, -1, -1, -1), _repeat(factor.neighbours, count), None, 2)
    drawn = many.sample(torch.Generator().manual_seed(0)).reshape(count, -1)
    variance = covariance.diagonal()
    assert float((drawn.mean(0).abs() / (variance / count).sqrt()).max()) < 5
    assert float(((drawn.var(0) / variance - 1).abs() / (2 / count) ** 0.5).max()) < 5


@pytest.mark.parametrize(("channels", "radius"), [(1, 2), (2, 1)])
def test_everything_is_differentiable(channels: int, radius: int) -> None:
    factor = random_factor(channels, radius, 4, 5)
    v = torch.randn(2, channels, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parts = [t for t in (factor.log_diagonal, factor.neighbours, factor.cross) if t is not None]

    def rebuilt(*given: Tensor) -> Factor:
        return Factor(given[0], given[1], given[2] if channels > 1 else None, radius)

    inputs = [t.clone().requires_grad_() for t in [*parts, v]]
    for what in ("solve_transpose", "precision", "energy"):
        assert torch.autograd.gradcheck(
            lambda *given, what=what: getattr(rebuilt(*given[:-1]), what)(given[-1]), inputs
        )


def test_single_precision_and_batches() -> None:
    factor = random_factor(2, 2, 16, 12, batch=5)
    v = torch.randn(5, 2, 16, 12, dtype=torch.float64)
    single = Factor(factor.log_diagonal.float(), factor.neighbours.float(), factor.cross.float(), 2)  # type: ignore
    for what in ("transpose", "apply", "precision", "solve_transpose"):
        exact, ours = getattr(factor, what)(v), getattr(single, what)(v.float())
        assert ours.dtype == torch.float32
        assert float((ours - exact).norm() / exact.norm()) < 1e-5
        parts = (factor.log_diagonal[3:4], factor.neighbours[3:4], factor.cross[3:4])  # type: ignore[index]
        alone = getattr(Factor(*parts, 2), what)(v[3:4])
        assert float((alone - exact[3:4]).norm() / exact[3:4].norm()) < 1e-13


def test_radius_0_is_diagonal() -> None:
    factor = random_factor(1, 0, 5, 5)
    v = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    assert torch.equal(factor.precision(v), factor.diagonal * (factor.diagonal * v))
    assert torch.equal(factor.solve_transpose(v), v / factor.diagonal)


@pytest.mark.gpu
def test_it_runs_on_cuda() -> None:
    factor = random_factor(2, 2, 16, 12)
    v = torch.randn(2, 2, 16, 12, dtype=torch.float64)
    there = Factor(factor.log_diagonal.cuda(), factor.neighbours.cuda(), factor.cross.cuda(), 2)  # type: ignore
    for what in ("transpose", "apply", "precision", "solve_transpose"):
        assert torch.allclose(getattr(there, what)(v.cuda()).cpu(), getattr(factor, what)(v), rtol=1e-12, atol=1e-12)


def _repeat(tensor: Tensor | None, count: int) -> Tensor | None:
    return None if tensor is None else tensor.expand(count, *tensor.shape[1:])
