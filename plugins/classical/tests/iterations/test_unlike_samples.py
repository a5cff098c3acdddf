"""Batches whose samples differ in kind: each ends as it does alone, with the bound that it has alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import CompositionError, InputError, Iteration, Problem, Space, Stop, Verdict, solve
from wellposed.fidelity import Fidelity
from wellposed.operator import Operator
from wellposed.registry import component
from wellposed.regularizer import Zero
from wellposed.stopping import FixedPointResidual, RelativeChange
from wellposed_classical.iterations.admm import ADMM
from wellposed_classical.iterations.conjugate_gradient import ConjugateGradient
from wellposed_classical.iterations.fista import FISTA
from wellposed_classical.iterations.gradient_descent import GradientDescent
from wellposed_classical.iterations.pdhg import PDHG
from wellposed_classical.iterations.proximal_gradient import ProximalGradient
from wellposed_classical.regularizers.box import Nonnegativity
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.tikhonov import Tikhonov
from wellposed_classical.regularizers.total_variation import TotalVariation

SPLITTING = pytest.mark.parametrize("iteration", [PDHG(), ADMM(), PDHG(0.3), ADMM(0.5)])
FIRST_ORDER = pytest.mark.parametrize("iteration", [FISTA(), ProximalGradient()])


def weighted(weights: Tensor) -> Fidelity:
    """Least squares with the weights of each sample."""
    return component("fidelities", "l2").of_samples(weights)


def alone(problem: Problem, sample: int) -> Problem:
    return problem.take(torch.tensor([sample]))


def assert_each_as_alone(problem: Problem, iteration: Iteration, stop: Stop, tolerance: float = 1e-9) -> None:
    together = solve(problem, iteration, stop=stop)
    for i in range(problem.batch):
        single = solve(alone(problem, i), iteration, stop=stop)
        torch.testing.assert_close(together.x[i : i + 1], single.x, rtol=tolerance, atol=tolerance)
        assert together.iterations[i] == single.iterations[0]
        assert together.verdict[i] is single.verdict[0]


@pytest.fixture
def mixed_weights() -> Tensor:
    """One weight for all, another one for all, weights that vary, weights with zeros among them."""
    varied = torch.linspace(0.5, 3.0, 8, dtype=torch.float64)
    return torch.stack([torch.full_like(varied, 2.0), torch.full_like(varied, 0.5), varied, (varied > 1.5) * varied])


@SPLITTING
def test_a_fidelity_that_is_a_multiple_of_a_square_for_some_samples_alone(
    dense, normal, mixed_weights, iteration
) -> None:
    operator = dense(torch.eye(8, dtype=torch.float64))
    problem = Problem(operator, 2 * normal(4, 8), weighted(mixed_weights), 0.3 * L1Norm())
    x = solve(problem, iteration, stop=Stop(600)).x
    # Separable: soft thresholding at `0.3/w`; 0 where the weight is 0.
    y, w = problem.measurement[:, None], mixed_weights[:, None]
    expected = torch.where(w > 0, torch.sgn(y) * (y.abs() - 0.3 / w.clamp_min(1e-9)).clamp_min(0), 0.0)
    torch.testing.assert_close(x, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("iteration", [PDHG(), ADMM()])
def test_an_operator_that_is_an_isometry_for_one_sample_alone(normal, fidelity, iteration) -> None:
    mask = torch.ones(3, 1, 4, 5)
    mask[1, :, :, ::2] = 0
    operator = component("operators", "inpainting")(mask=mask, shape=[4, 5])
    problem = Problem(operator, operator(normal(3, 1, 4, 5)), fidelity("l2"), 0.1 * TotalVariation())
    assert_each_as_alone(problem, iteration, Stop(150), tolerance=5e-3)


@SPLITTING
def test_samples_that_converge_at_different_times_and_one_that_stays_at_zero(dense, normal, fidelity, iteration):
    y = normal(4, 10, seed=1) * torch.tensor([[1e-3], [1.0], [30.0], [1e-3]], dtype=torch.float64)
    problem = Problem(dense(normal(10, 6)), y, fidelity("l2"), 0.2 * L1Norm() + Nonnegativity())
    assert_each_as_alone(problem, iteration, Stop(300, [RelativeChange(1e-5)]))


@FIRST_ORDER
@pytest.mark.parametrize("size", [1.0, 3.0])
def test_a_bound_for_those_that_have_one_and_infinity_for_the_others(
    dense, normal, mixed_weights, iteration, size
) -> None:
    """`A*A = size²·I`: the bound comes from the data alone, and a weight of zero takes it away."""
    operator = dense(size * torch.linalg.qr(normal(8, 8)).Q, isometry=size**2)
    problem = Problem(operator, 5 * normal(4, 8), weighted(mixed_weights), 0.1 * L1Norm())
    exact = solve(problem, iteration, stop=Stop(1000)).x
    part = solve(problem, iteration, stop=Stop(3))
    assert part.bound is not None
    distance = (part.x - exact).flatten(1).norm(dim=1)
    assert bool((part.bound >= distance).all())
    assert torch.isfinite(part.bound).tolist() == [True, True, True, False]
    for i in range(3):
        single = solve(alone(problem, i), iteration, stop=Stop(3))
        torch.testing.assert_close(part.bound[i : i + 1], single.bound)
    assert solve(alone(problem, 3), iteration, stop=Stop(3)).bound is None


@FIRST_ORDER
def test_no_bound_from_the_fidelity_where_the_operator_loses_something(dense, normal, mixed_weights, iteration) -> None:
    matrix = normal(8, 8)
    matrix[:, 0] = 0
    problem = Problem(dense(matrix), normal(4, 8), weighted(mixed_weights), 0.1 * L1Norm())
    assert solve(problem, iteration, stop=Stop(3)).bound is None


def test_fista_certifies_the_start(dense, normal, fidelity) -> None:
    """`‖x − x*‖ ≤ ‖x − T(x)‖/(1 − ρ)` before any step."""
    problem = Problem(dense(normal(12, 6)), normal(3, 12, seed=1), fidelity("l2"), Tikhonov() + 0.1 * L1Norm())
    exact = solve(problem, FISTA(), stop=Stop(2000)).x
    iteration = FISTA()
    start = iteration.init(problem, normal(3, 1, 6, seed=2))
    bound = iteration.error_bound(problem, start)
    assert bound is not None
    distance = (start.x - exact).flatten(1).norm(dim=1)
    assert bool((bound >= distance).all())
    step = 1 / (float(torch.linalg.matrix_norm(problem.operator.matrix, 2) ** 2) + 1)
    moved = start.x - step * (problem.data_gradient(start.x) + start.x)
    image = torch.sgn(moved) * (moved.abs() - 0.1 * step).clamp_min(0)
    expected = (start.x - image).flatten(1).norm(dim=1) / step  # the contraction is 1 − step·1
    torch.testing.assert_close(bound, expected, rtol=1e-3, atol=0)


class PartlySquare(Fidelity):
    """`½‖v − y‖²` for samples whose measurement is positive, `¼‖v − y‖⁴` entry by entry for others."""

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        residual = (v - y).square()
        positive = (y > 0).flatten(1).all(1)[:, None]
        return torch.where(positive, residual / 2, residual.square() / 4).sum(1)


@pytest.mark.parametrize("batch", [[0, 1], [1, 0], [1, 1]])
def test_conjugate_gradients_refuse_a_batch_with_one_sample_that_is_not_quadratic(dense, normal, batch) -> None:
    y = torch.stack([torch.ones(4), -torch.ones(4)]).double()
    operator = dense(normal(4, 4))
    with pytest.raises(CompositionError, match=r"squared distance \(l2\); PartlySquare is not"):
        solve(Problem(operator, y[batch], PartlySquare(), Zero()), ConjugateGradient())
    solve(Problem(operator, y[:1], PartlySquare(), Zero()), ConjugateGradient(), stop=Stop(4))


def test_one_pixel_that_diverges_is_a_divergence(normal, fidelity) -> None:
    """Steps too long for one entry of one sample: the others are solved, its own reconstruction stays finite."""

    class Diagonal(Operator):
        def __init__(self) -> None:
            super().__init__(Space((1, 3), torch.float64), Space((1, 3), torch.float64))
            self.register_buffer("cube", torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))

        def _forward(self, x: Tensor) -> Tensor:
            return x + self.cube * x**3

    y = torch.tensor([[[0.1, 0.2, 0.1]], [[0.1, 0.2, 9.0]]], dtype=torch.float64)
    problem = Problem(Diagonal(), y, fidelity("l2"))
    for stop in (Stop(60), Stop(60, [RelativeChange(1e-8)]), Stop(60, [FixedPointResidual(1e-8)], every=7)):
        solution = solve(problem, GradientDescent(step_size=0.5), stop=stop)
        assert solution.verdict[1] is Verdict.DIVERGED
        assert solution.verdict[0] in (Verdict.CONVERGED, Verdict.COMPLETED)
        torch.testing.assert_close(problem.operator(solution.x)[0], y[0], rtol=1e-6, atol=0)
        if stop.rules and stop.every == 1:
            assert bool(torch.isfinite(solution.x).all())


@pytest.mark.parametrize("steps", [[0.1, -0.1], [-0.1, 0.1], [0.0, 0.1]])
def test_one_step_that_is_not_positive_is_refused(steps: list[float]) -> None:
    for make in (GradientDescent, FISTA, ProximalGradient, ADMM, PDHG):
        with pytest.raises(InputError, match="must be positive"):
            make(torch.tensor(steps))


@pytest.mark.parametrize("iteration", [PDHG(), ADMM()])
def test_one_term_that_cannot_be_split_is_enough_to_refuse(dense, normal, fidelity, iteration) -> None:
    smooth = component("regularizers", "smoothed-total-variation")()
    problem = Problem(dense(normal(4, 4)), normal(2, 4), fidelity("l2"), L1Norm() + 0.1 * smooth)
    with pytest.raises(CompositionError):
        solve(problem, iteration, stop=Stop(2))
    with pytest.raises(CompositionError):
        solve(Problem(problem.operator, problem.measurement, problem.fidelity, smooth + L1Norm()), iteration)


@SPLITTING
def test_a_weighted_sum_is_the_sum_of_its_weighted_terms(dense, normal, fidelity, iteration) -> None:
    """`w·(R₁ + R₂)` through splitting: soft thresholding of both, and nonnegativity."""
    y = 2 * normal(3, 6)
    total = 0.5 * (L1Norm() + 0.4 * L1Norm()) + 3.0 * Nonnegativity()
    problem = Problem(dense(torch.eye(6, dtype=torch.float64)), y, fidelity("l2"), total)
    x = solve(problem, iteration, stop=Stop(500)).x
    torch.testing.assert_close(x[:, 0], (y - 0.7).clamp_min(0), rtol=1e-6, atol=1e-6)


@FIRST_ORDER
def test_a_weighted_sum_in_first_order_methods(dense, normal, fidelity, iteration) -> None:
    """`w·(R₁ + R₂)` with `R₁` smooth: `½‖x − y‖² + ½·0.6‖x‖² + 0.2‖x‖₁`."""
    y = 2 * normal(3, 6)
    total = 0.2 * (3.0 * Tikhonov() + L1Norm())
    problem = Problem(dense(torch.eye(6, dtype=torch.float64)), y, fidelity("l2"), total)
    x = solve(problem, iteration, stop=Stop(300)).x
    torch.testing.assert_close(x[:, 0], torch.sgn(y) * (y.abs() - 0.2).clamp_min(0) / 1.6, rtol=1e-8, atol=1e-8)


@SPLITTING
def test_nothing_to_split_is_solved_by_the_data_alone(dense, normal, fidelity, iteration) -> None:
    """An isometry and no regularizer: the primal function is all there is, `x = A*y/c`."""
    rotation, y = 3 * torch.linalg.qr(normal(5, 5)).Q, normal(2, 5, seed=1)
    solution = solve(Problem(dense(rotation), y, fidelity("l2"), Zero()), iteration, stop=Stop(60))
    torch.testing.assert_close(solution.x[:, 0], y @ rotation / 9, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("iteration", [PDHG(), ADMM()])
def test_a_weight_that_is_learned_is_read_anew_at_every_solve(dense, normal, fidelity, iteration) -> None:
    """Nothing that was computed for the first weight is used for the second."""
    matrix, y = normal(8, 6), normal(2, 8, seed=1)
    weight = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
    learned = weight * TotalVariation() + Nonnegativity()
    operator = dense(matrix, (1, 6))
    for value in (0.1, 1.5):
        with torch.no_grad():
            weight.fill_(value)
        found = solve(Problem(operator, y, fidelity("l2"), learned), iteration, stop=Stop(40)).x
        fixed = value * TotalVariation() + Nonnegativity()
        expected = solve(Problem(operator, y, fidelity("l2"), fixed), iteration, stop=Stop(40)).x
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_learned_step_is_one_number() -> None:
    for make in (GradientDescent, FISTA, ProximalGradient, ADMM, PDHG):
        with pytest.raises(InputError, match="is one number"):
            make(torch.nn.Parameter(torch.tensor([0.1, 0.2])))
        make(torch.nn.Parameter(torch.tensor(0.1)))


@pytest.mark.parametrize("weight", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("iteration", [ADMM(), ADMM(0.7)])
def test_weights_of_the_data_in_closed_form_steps(normal, fidelity, iteration, weight) -> None:
    """`w/2 ‖Mx − y‖² + 0.3‖x‖₁` with a mask `M`: soft thresholding at `0.3/w` where something was measured."""
    mask = torch.ones(4, 5)
    mask[:, ::2] = 0
    operator = component("operators", "inpainting")(mask=mask, shape=[4, 5])
    y = operator(2 * normal(3, 1, 4, 5))
    problem = Problem(operator, y, fidelity("l2", weight=weight), 0.3 * L1Norm())
    x = solve(problem, iteration, stop=Stop(300)).x
    torch.testing.assert_close(x, torch.sgn(y) * (y.abs() - 0.3 / weight).clamp_min(0), rtol=1e-6, atol=1e-6)
