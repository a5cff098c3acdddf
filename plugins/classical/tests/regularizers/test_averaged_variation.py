"""Total variation that turns with the image: an invariant functional has an equivariant proximal map."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from wellposed import InputError, Problem, ShapeError, Stop, component, solve
from wellposed.space import inner, norm
from wellposed.testing.doubles import DenseOperator, QuadraticFidelity
from wellposed_classical.averaged_differences import AveragedDifferences
from wellposed_classical.regularizers.total_variation import TotalVariation

ACCURATE = {"tolerance": 1e-12, "limit": 50000}
MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "quarter turn": lambda x: x.rot90(1, (-2, -1)),
    "half turn": lambda x: x.rot90(2, (-2, -1)),
    "three quarters": lambda x: x.rot90(3, (-2, -1)),
    "rows reflected": lambda x: x.flip(-2),
    "columns reflected": lambda x: x.flip(-1),
    "transposed": lambda x: x.mT,
}


def randn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def averaged(channels: str = "separate") -> TotalVariation:
    return TotalVariation("averaged", channels, **ACCURATE)  # type: ignore[arg-type]


def by_hand(x: np.ndarray) -> float:
    """The mean over all choices of the two neighbours of each pixel, in plain loops."""
    rows, columns = x.shape
    total = 0.0
    for down, right in product((1, -1), repeat=2):
        for i, j in product(range(rows), range(columns)):
            a = abs(x[i + down, j] - x[i, j]) if 0 <= i + down < rows else 0.0
            b = abs(x[i, j + right] - x[i, j]) if 0 <= j + right < columns else 0.0
            total += (a**2 + b**2) ** 0.5
    return total / 4


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_value_by_hand(dtype: torch.dtype) -> None:
    x = randn(2, 1, 4, 5, dtype=dtype)
    np.testing.assert_allclose(averaged()(x).numpy(), [by_hand(image[0].numpy()) for image in x], rtol=1e-13)
    both = torch.cat([x, x.flip(2)], 1)
    np.testing.assert_allclose(averaged()(both).numpy(), 2 * averaged()(x).numpy(), rtol=1e-13)


@pytest.mark.parametrize("channels", ["separate", "joint"])
@pytest.mark.parametrize("move", MOVES)
def test_an_invariant_functional_has_an_equivariant_proximal_map(move: str, channels: str) -> None:
    """`R(g x) = R(x)` implies `prox(g x) = g prox(x)`, by the change of variables `u → g u` in its minimisation."""
    regularizer, x, g = averaged(channels), randn(2, 2, 12, 12), MOVES[move]
    torch.testing.assert_close(regularizer(g(x)), regularizer(x), rtol=1e-13, atol=0)
    assert difference(regularizer.prox(g(x), 0.4), g(regularizer.prox(x, 0.4))) < 1e-6
    assert {"translation", "c4", "d4"} <= regularizer.invariances


@pytest.mark.parametrize(("kind", "turns"), [("isotropic", False), ("anisotropic", True), ("averaged", True)])
def test_a_turn_of_a_noisy_image(kind: str, turns: bool) -> None:
    """Of noise of 32 × 32 pixels the isotropic denoised image differs by percents after a quarter turn."""
    regularizer = TotalVariation(kind, tolerance=1e-9, limit=20000)  # type: ignore[arg-type]
    x = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    x[..., 8:22, 10:25] = 1.0
    x = x + 0.3 * randn(1, 1, 32, 32)
    error = difference(regularizer.prox(x.rot90(1, (2, 3)), 0.2), regularizer.prox(x, 0.2).rot90(1, (2, 3)))
    assert (error < 1e-4) if turns else (error > 1e-2)
    assert ("c4" in regularizer.invariances) == turns


@pytest.mark.parametrize("shape", [(2, 1, 7), (2, 2, 6, 9), (1, 2, 3, 4, 5), (1, 1, 1, 6)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_averaged_gradient_is_linear_with_exact_adjoint_norm_and_inverse(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    gradient, x = AveragedDifferences(), randn(*shape, dtype=dtype)
    p = randn(*gradient(x).shape, dtype=dtype, seed=1)
    torch.testing.assert_close(inner(gradient(x), p), inner(x, gradient.adjoint(p)), rtol=1e-12, atol=1e-12)
    v = x / norm(x).reshape(-1, *[1] * (x.ndim - 1))
    for _ in range(4000):
        v = gradient.adjoint(gradient(v)) + 1e-30
        v = v / norm(v).max()
    largest = float((norm(gradient(v)) / norm(v)).max())
    assert largest == pytest.approx(gradient.norm(x), rel=1e-3)
    assert largest <= gradient.norm(x) * (1 + 1e-9)
    shift = torch.linspace(0.1, 0.7, len(x), dtype=torch.float64)
    solved = gradient.solve_normal(x, shift)
    back = gradient.adjoint(gradient(solved)) + shift.reshape(-1, *[1] * (x.ndim - 1)) * solved
    torch.testing.assert_close(back, x)


def test_on_a_line_it_is_total_variation() -> None:
    x = randn(2, 1, 30)
    plain = TotalVariation(**ACCURATE)  # type: ignore[arg-type]
    torch.testing.assert_close(averaged()(x), plain(x))
    torch.testing.assert_close(averaged().prox(x, 0.5), plain.prox(x, 0.5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [1e-3, 0.3, 5.0, 1e4])
def test_the_error_of_the_proximal_map_is_certified(step: float) -> None:
    x = randn(2, 1, 10, 10)
    exact = TotalVariation("averaged", tolerance=1e-14, limit=200000).prox(x, step)
    for tolerance in (1e-2, 1e-5):
        image, bound = TotalVariation("averaged", tolerance=tolerance).prox_with_error(x, step)
        apart = norm(image - exact)
        assert bool((apart <= bound + 1e-7).all())
        assert bool((bound < 10 * tolerance**0.5 * norm(x)).all())


def test_the_derivative_of_the_proximal_map() -> None:
    regularizer = TotalVariation("averaged", tolerance=1e-13, limit=100000)
    x, v = randn(1, 1, 6, 6).requires_grad_(), randn(1, 1, 6, 6, seed=1)
    step = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    on_x, on_step = torch.autograd.grad((regularizer.prox(x, step) * v).sum(), (x, step))
    h, along = 1e-5, randn(1, 1, 6, 6, seed=2)
    with torch.no_grad():
        by_x = (regularizer.prox(x + h * along, 0.3) - regularizer.prox(x - h * along, 0.3)) / (2 * h)
        by_step = (regularizer.prox(x, 0.3 + h) - regularizer.prox(x, 0.3 - h)) / (2 * h)
    assert float((on_x * along).sum()) == pytest.approx(float((by_x * v).sum()), rel=1e-3)
    assert float(on_step) == pytest.approx(float((by_step * v).sum()), rel=1e-3)


@pytest.mark.parametrize(("iteration", "steps"), [("pdhg", 600), ("admm", 150)])
def test_splitting_agrees_with_the_proximal_map(iteration: str, steps: int) -> None:
    """`½‖x − y‖² + 0.3 R(x)` by the split terms and by the proximal map."""
    y = randn(1, 1, 8, 8)
    operator = DenseOperator.from_tensor(torch.eye(64, dtype=torch.float64), (1, 8, 8))
    problem = Problem(operator, y.flatten(1), QuadraticFidelity(), 0.3 * averaged())
    solution = solve(problem, component("iterations", iteration)(), stop=Stop(steps))
    assert difference(solution.x, averaged().prox(y, 0.3)) < 1e-4


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="isotropic, anisotropic or averaged; 'l2' was given"):
        TotalVariation("l2")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"takes \(batch, d, channels, 2\^d, d sizes\)"):
        AveragedDifferences().adjoint(randn(2, 2, 1, 3, 5, 5))
