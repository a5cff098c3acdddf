"""Anderson and Broyden against linear algebra: same fixed point, fewer steps, each sample for itself."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from wellposed import Acceleration, InputError, NoAcceleration, State
from wellposed_equilibrium.accelerations.anderson import Anderson
from wellposed_equilibrium.accelerations.broyden import Broyden


@dataclass(frozen=True)
class Pair(State):
    """A state of two tensors, one complex."""

    a: Tensor
    b: Tensor


def linear_map(batch: int, radius: float, seed: int = 0):
    """`x ↦ M x + c` with symmetric `M` of spectral radius `radius`, one for each sample, on pairs of 3 + 2 complex."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(batch, 7, 7, generator=generator, dtype=torch.float64)).Q
    values = torch.linspace(-radius / 2, radius, 7, dtype=torch.float64)
    matrix = q @ torch.diag(values) @ q.mT
    constant = torch.randn(batch, 7, generator=generator, dtype=torch.float64)
    solution = torch.linalg.solve(torch.eye(7, dtype=torch.float64) - matrix, constant)

    def apply(state: Pair) -> Pair:
        index = apply.index  # type: ignore[attr-defined]
        x = state.flatten()
        return state.unflatten(torch.einsum("bij,bj->bi", matrix[index], x) + constant[index])

    apply.index = torch.arange(batch)  # type: ignore[attr-defined]
    start = Pair(torch.zeros(batch, 3, dtype=torch.float64), torch.zeros(batch, 2, dtype=torch.complex128))
    return apply, start, solution


def run(acceleration: Acceleration, apply, state: Pair, steps: int) -> Pair:
    memory = acceleration.init(state)
    for _ in range(steps):
        state, memory = acceleration.advance(apply, state, memory)
    return state


@pytest.mark.parametrize("acceleration", [Anderson(7), Broyden(30), Broyden(4)])
def test_fixed_point_of_a_linear_map(acceleration: Acceleration) -> None:
    apply, start, solution = linear_map(4, 0.95)
    error = (run(acceleration, apply, start, 200).flatten() - solution).norm(dim=1)
    assert bool((error <= 1e-9 * solution.norm(dim=1)).all()), error


def test_anderson_with_a_full_window_ends_in_dimension_plus_few_steps() -> None:
    """On a linear map it is GMRES (Walker and Ni 2011, theorem 2.2): exact after n + 1 steps."""
    apply, start, solution = linear_map(3, 0.99)
    error = (run(Anderson(7, regularization=0.0), apply, start, 9).flatten() - solution).norm(dim=1)
    assert bool((error <= 1e-8 * solution.norm(dim=1)).all())


@pytest.mark.parametrize("acceleration", [Anderson(5), Broyden(10)])
def test_faster_than_plain_iteration(acceleration: Acceleration) -> None:
    apply, start, solution = linear_map(2, 0.99)
    plain = (run(NoAcceleration(), apply, start, 25).flatten() - solution).norm()
    fast = (run(acceleration, apply, start, 25).flatten() - solution).norm()
    assert fast < 1e-3 * plain


@pytest.mark.parametrize("acceleration", [Anderson(3), Broyden(5)])
def test_samples_do_not_see_each_other(acceleration: Acceleration) -> None:
    apply, start, _ = linear_map(3, 0.9)
    together = run(acceleration, apply, start, 8).flatten()
    for i in range(3):
        apply.index = torch.tensor([i])
        alone = run(acceleration, apply, start.take(torch.tensor([i])), 8).flatten()
        torch.testing.assert_close(alone[0], together[i], rtol=1e-10, atol=1e-12)


def test_scale_of_the_problem_does_not_matter() -> None:
    """An absolute regularization would switch Anderson off for small residuals."""
    apply, start, solution = linear_map(1, 0.97)

    def small(state: Pair) -> Pair:
        big = state.unflatten(state.flatten() * 1e8)
        value = apply(big)
        return value.unflatten(value.flatten() * 1e-8)

    error = (run(Anderson(7), small, start, 20).flatten() * 1e8 - solution).norm()
    assert error <= 1e-7 * solution.norm()


@pytest.mark.parametrize("acceleration", [Anderson(10), Broyden(10)])
def test_scale_of_the_problem_does_not_matter_before_the_memory_is_full(acceleration: Acceleration) -> None:
    apply, start, _ = linear_map(2, 0.97)

    def small(state: Pair) -> Pair:
        value = apply(state.unflatten(state.flatten() * 1e10))
        return value.unflatten(value.flatten() * 1e-10)

    expected = run(acceleration, apply, start, 6).flatten()
    torch.testing.assert_close(run(acceleration, small, start, 6).flatten() * 1e10, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("acceleration", [Anderson(3), Broyden(3)])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e200])
@pytest.mark.parametrize("since", [1, 3])
def test_a_sample_that_is_lost_takes_no_other_with_it(acceleration: Acceleration, bad: float, since: int) -> None:
    apply, start, _ = linear_map(2, 0.9)
    calls = 0

    def broken(state: Pair) -> Pair:
        nonlocal calls
        calls += 1
        value = apply(state).flatten()
        return state.unflatten(torch.cat([value[:1] * (bad if calls >= since else 1.0), value[1:]]))

    expected = run(acceleration, apply, start, 8).flatten()[1]
    torch.testing.assert_close(run(acceleration, broken, start, 8).flatten()[1], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("acceleration", [Anderson(3), Broyden(3)])
def test_growth_makes_a_plain_step(acceleration: Acceleration) -> None:
    """A map that jumps to large values once: the memory is forgotten and the fixed point still found."""
    calls = 0

    def apply(state: Pair) -> Pair:
        nonlocal calls
        calls += 1
        x = state.flatten()
        return state.unflatten(0.5 * x + (1e6 if calls == 4 else 1.0))

    start = Pair(torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.complex128))
    end = run(acceleration, apply, start, 90).flatten()
    torch.testing.assert_close(end, torch.full_like(end, 2.0), rtol=1e-8, atol=0)


@pytest.mark.parametrize(
    "make",
    [lambda: Anderson(0), lambda: Anderson(mixing=0.0), lambda: Anderson(safeguard=0.5), lambda: Broyden(0)],
)
def test_settings_out_of_range_are_told(make) -> None:
    with pytest.raises(InputError):
        make()
