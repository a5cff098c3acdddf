"""What the driver promises, for every iteration: samples are independent, failures are told, gradients are right."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wellposed import Problem, Stop, Unrolled, Verdict, solve
from wellposed.regularizer import Regularizer, Zero
from wellposed.stopping import RelativeChange
from wellposed_classical.iterations.admm import ADMM
from wellposed_classical.iterations.conjugate_gradient import ConjugateGradient
from wellposed_classical.iterations.fista import FISTA
from wellposed_classical.iterations.gradient_descent import GradientDescent
from wellposed_classical.iterations.kaczmarz import Kaczmarz
from wellposed_classical.iterations.landweber import Landweber
from wellposed_classical.iterations.linearized_bregman import LinearizedBregman
from wellposed_classical.iterations.pdhg import PDHG
from wellposed_classical.iterations.proximal_gradient import ProximalGradient
from wellposed_classical.iterations.sart import SART
from wellposed_classical.iterations.stochastic_gradient import StochasticGradient
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.tikhonov import Tikhonov

SPARSE, SMOOTH, NONE = L1Norm, Tikhonov, Zero
ALL = {
    "landweber": (Landweber, NONE),
    "kaczmarz": (lambda: Kaczmarz(3), NONE),
    "sart": (SART, NONE),
    "stochastic-gradient": (lambda: StochasticGradient(3), SMOOTH),
    "conjugate-gradient": (ConjugateGradient, SMOOTH),
    "gradient-descent": (GradientDescent, SMOOTH),
    "proximal-gradient": (ProximalGradient, SPARSE),
    "fista": (FISTA, SPARSE),
    "pdhg": (PDHG, SPARSE),
    "admm": (ADMM, SPARSE),
    "linearized-bregman": (lambda: LinearizedBregman(1.0), SPARSE),
    "pdhg, given step": (lambda: PDHG(0.4), SPARSE),
    "admm, given penalty": (lambda: ADMM(0.8), SPARSE),
}
every = pytest.mark.parametrize("name", ALL)
WITH_STEP = {
    "landweber": lambda step: Landweber(step_size=step),
    "stochastic-gradient": lambda step: StochasticGradient(3, step_size=step),
    "gradient-descent": GradientDescent,
    "proximal-gradient": ProximalGradient,
    "fista": lambda step: FISTA(step, restart=False),
    "linearized-bregman": lambda step: LinearizedBregman(1.0, step_size=step),
    "pdhg": PDHG,
    "admm": ADMM,
}


@pytest.fixture
def pose(dense, normal, fidelity):
    """`pose(name, batch)`: the iteration and a small problem that it solves."""

    def make(name: str, batch: int = 4, weight: float | torch.Tensor = 0.1) -> tuple:
        build, regularizer = ALL[name]
        matrix = torch.eye(6, dtype=torch.float64) + 0.2 * normal(6, 6).abs()
        y = normal(batch, 6, seed=1).abs() * torch.arange(1, batch + 1)[:, None]
        prior: Regularizer = Zero() if regularizer is NONE else regularizer() * weight
        return build(), Problem(dense(matrix), y, fidelity("l2"), prior)

    return make


@every
def test_a_batch_gives_what_its_samples_give_alone(pose, name) -> None:
    iteration, problem = pose(name)
    stop = Stop(400, [RelativeChange(1e-6)])
    together = solve(problem, iteration, stop=stop)
    if name != "conjugate-gradient":  # it ends after as many steps as there are unknowns
        assert len(set(together.iterations)) > 1, "the samples are to stop at different steps"
    for i in range(problem.batch):
        alone = solve(problem.take(torch.tensor([i])), iteration, stop=stop)
        torch.testing.assert_close(together.x[i : i + 1], alone.x, rtol=1e-12, atol=1e-12)
        assert together.iterations[i] == alone.iterations[0]
        assert together.verdict[i] is alone.verdict[0]


@every
def test_a_broken_measurement_gets_its_verdict_and_spares_the_others(pose, name) -> None:
    iteration, problem = pose(name)
    clean = solve(problem, iteration, stop=Stop(30))
    y = problem.measurement.clone()
    y[1, 3] = float("nan")
    y[2, 0] = float("inf")
    broken = solve(Problem(problem.operator, y, problem.fidelity, problem.regularizer), iteration, stop=Stop(30))
    bad = Verdict.NON_FINITE_MEASUREMENT
    assert broken.verdict == (Verdict.COMPLETED, bad, bad, Verdict.COMPLETED)
    assert bool(torch.isfinite(broken.x).all())
    torch.testing.assert_close(broken.x[[0, 3]], clean.x[[0, 3]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in WITH_STEP if n not in ("pdhg", "admm")])
def test_steps_that_are_too_long_are_told_per_sample(pose, name) -> None:
    _, problem = pose(name, batch=2)
    iteration = WITH_STEP[name](torch.tensor([0.05, 100.0], dtype=torch.float64))
    solution = solve(problem, iteration, stop=Stop(1500, [RelativeChange(1e-9)], every=20))
    assert solution.verdict[0] in (Verdict.CONVERGED, Verdict.ITERATION_LIMIT)
    assert solution.verdict[1] is Verdict.DIVERGED
    assert bool(torch.isfinite(solution.x).all())


@every
def test_the_same_call_gives_the_same_images(pose, name) -> None:
    iteration, problem = pose(name)
    first = solve(problem, iteration, stop=Stop(25))
    other = Problem(problem.operator, 3 * problem.measurement, problem.fidelity, problem.regularizer)
    solve(other, iteration, stop=Stop(25))
    assert torch.equal(solve(problem, iteration, stop=Stop(25)).x, first.x)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("pdhg", "admm")])
def test_unrolled_derivative_by_the_measurement(pose, name) -> None:
    iteration, problem = pose(name, batch=2)

    def image(y: torch.Tensor) -> torch.Tensor:
        posed = Problem(problem.operator, y, problem.fidelity, problem.regularizer)
        return solve(posed, iteration, stop=Stop(4), gradient=Unrolled()).x

    assert torch.autograd.gradcheck(image, problem.measurement.clone().requires_grad_(), atol=1e-6)


@pytest.mark.parametrize("name", WITH_STEP)
def test_unrolled_derivative_by_a_learned_step_size(pose, name) -> None:
    _, problem = pose(name, batch=2)
    step = nn.Parameter(torch.tensor(0.11, dtype=torch.float64))
    iteration = WITH_STEP[name](step)

    def total() -> torch.Tensor:
        return solve(problem, iteration, stop=Stop(4), gradient=Unrolled()).x.square().sum()

    (derivative,) = torch.autograd.grad(total(), step)
    assert float(derivative) == pytest.approx(_central_difference(total, step), rel=1e-6)


@pytest.mark.parametrize(
    "name", [n for n, (_, prior) in ALL.items() if prior is not NONE and n not in ("pdhg", "admm")]
)
def test_unrolled_derivative_by_a_learned_weight(pose, name) -> None:
    weight = nn.Parameter(torch.tensor(0.13, dtype=torch.float64))
    _, problem = pose(name, batch=2, weight=weight)
    # Default steps depend on the weight and are constants to the derivative: give one where there is one.
    iteration = WITH_STEP[name](0.1) if name in WITH_STEP else ALL[name][0]()

    def total() -> torch.Tensor:
        return solve(problem, iteration, stop=Stop(4), gradient=Unrolled()).x.square().sum()

    (derivative,) = torch.autograd.grad(total(), weight)
    assert float(derivative) == pytest.approx(_central_difference(total, weight), rel=1e-6)


@every
def test_checkpoints_change_nothing(pose, name) -> None:
    iteration, problem = pose(name)
    found = []
    for gradient in (Unrolled(), Unrolled(checkpoint=True)):
        y = problem.measurement.clone().requires_grad_()
        posed = Problem(problem.operator, y, problem.fidelity, problem.regularizer)
        # Samples stop at different steps, so the batch shrinks under the tape.
        x = solve(posed, iteration, stop=Stop(25, [RelativeChange(1e-2)]), gradient=gradient).x
        (derivative,) = torch.autograd.grad(x.square().sum(), y)
        assert bool(torch.isfinite(derivative).all())
        found.append((x.detach(), derivative))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-12, atol=1e-12)


def _central_difference(function, parameter: nn.Parameter, step: float = 1e-6) -> float:
    value = parameter.detach().clone()
    results = []
    for sign in (1, -1):
        parameter.data = value + sign * step
        results.append(float(function().detach()))
    parameter.data = value
    return (results[0] - results[1]) / (2 * step)
