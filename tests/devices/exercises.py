"""What a component of each kind does on a device, named and in order: the same list here and there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from wellposed import CompositionError, LinearOperator, Problem, Stop, WellposedError, solve
from wellposed.algebra import stack
from wellposed.fidelity import Fidelity
from wellposed.iteration import Iteration
from wellposed.noise import Noise
from wellposed.testing.doubles import GradientStep, QuadraticRegularizer
from wellposed.testing.fidelities import data_for
from wellposed.testing.iterations import problem_for, run
from wellposed.testing.measure import generator, normal
from wellposed.testing.metrics import _images
from wellposed.testing.noise import ideal_for
from wellposed.testing.operators import images_for
from wellposed.testing.problems import image_problem, least_squares
from wellposed.testing.regularizers import images_for as prior_images
from wellposed.testing.regularizers import maps_of
from wellposed.testing.spaces import image_space
from wellposed.testing.subject import Subject

Value = Tensor | float | None
Steps = Iterator[tuple[str, Value]]
M = TypeVar("M", Tensor, nn.Module, Any)
#: Brings a tensor, a module or a problem to the device; the identity on the CPU.
Move = Callable[[M], M]


def operators(subject: Subject, move: Move) -> Steps:
    operator = subject.build()
    x = move(images_for(operator))
    operator = move(operator)
    y = operator(x)
    yield "forward", y
    yield "vjp", operator.vjp(x, y)
    yield "gradient", _gradient(operator, x)
    yield "norm", operator.norm()
    index = move(torch.tensor([1]))
    yield "take", operator.take(index)(x[index])
    yield "calibrated", operator.calibrated(y)(x)
    if isinstance(operator, LinearOperator):
        yield from _linear(operator, x, y, move)


def _linear(operator: LinearOperator, x: Tensor, y: Tensor, move: Move) -> Steps:
    yield "adjoint", operator.adjoint(y)
    yield "gram", operator.gram(x)
    yield "pinv", operator.pinv(y)
    yield "solve_normal", operator.solve_normal(x, 0.5)
    yield "solve_normal per sample", operator.solve_normal(x, move(torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64)))
    yield "gradient of the adjoint", _gradient(operator.adjoint, y)
    yield "gradient of solve_normal", _gradient(lambda u: operator.solve_normal(u, 0.5), x)
    yield "forward mode", torch.func.jvp(operator, (x,), (x,))[1]
    yield "algebra", (2 * operator.T @ operator - operator.T @ operator)(x)
    stacked = stack([operator, 2 * operator])
    yield "stack", stacked.adjoint(stacked(x))
    yield "norm of a stack", stacked.norm()
    for block in operator.row_blocks(2):
        block = move(block)
        yield "row block", block(x)
        yield "restricted", block.adjoint(block.restrict(y))


def noise(subject: Subject, move: Move) -> Steps:
    model = subject.build()
    v = move(ideal_for(model))
    model = move(model)
    y = model(v, generator())
    yield "draw", y
    if type(model).fidelity is not Noise.fidelity:
        yield from _fidelity(model.fidelity(), v, y)


def fidelities(subject: Subject, move: Move) -> Steps:
    fidelity = subject.build()
    v, y = (move(t) for t in data_for(fidelity))
    fidelity = move(fidelity)
    yield from _fidelity(fidelity, v, y)
    yield "take", fidelity.take(move(torch.tensor([1])))(v[1:2], y[1:2])


def _fidelity(fidelity: Fidelity, v: Tensor, y: Tensor) -> Steps:
    fidelity.check(y)
    yield "value", fidelity(v, y)
    yield "gradient", fidelity.gradient(v, y)
    for step in (0.5, torch.full((len(v),), 0.5, dtype=v.dtype, device=v.device)):
        for name in ("prox", "prox_conjugate"):
            try:
                yield name, getattr(fidelity, name)(v, y, step)
            except (NotImplementedError, WellposedError):
                continue
    yield "conjugate", fidelity.conjugate(0.1 * v, y)
    yield "smoothness", fidelity.smoothness(y)
    yield "strong convexity", fidelity.strong_convexity(y)


def regularizers(subject: Subject, move: Move) -> Steps:
    plain = subject.build()
    x = prior_images(plain)
    plain, x = move(plain), move(x)
    learned = any(True for _ in plain.parameters())
    weighted = [] if learned else [0.5 * plain, move(plain * torch.tensor(0.5, dtype=torch.float64))]
    step = torch.full((len(x),), 0.3, dtype=x.dtype.to_real(), device=x.device)
    for regularizer in (plain, *weighted):
        for name, call in maps_of(regularizer).items():
            yield name, call(x)
        if "prox" in regularizer.capabilities:
            yield "prox per sample", regularizer.prox(x, step)
            yield "prox of the conjugate", regularizer.prox_conjugate(x, step)
            yield "gradient of prox", _gradient(lambda u, r=regularizer: r.prox(u, 0.3), x)
        yield "conjugate", regularizer.conjugate(0.1 * x)
        yield "smoothness", regularizer.smoothness_on(x)
        yield from _terms(regularizer, x)


def _terms(regularizer: Any, x: Tensor) -> Steps:
    for term in regularizer.split() if "split" in regularizer.capabilities else ():
        p = x
        if term.analysis is not None:
            p = term.analysis(x)
            yield "synthesis", term.analysis.adjoint(p)
            yield "norm of analysis", term.analysis.norm(x)
            yield "analysis solved", term.analysis.solve_normal(x, 0.5)
        yield "term", term.functional.prox(p, 0.3)
        yield "conjugate term", term.functional.prox_conjugate(p, 0.3)


def iterations(subject: Subject, move: Move) -> Steps:
    iteration = subject.build()
    problem = problem_for(iteration)
    problem, iteration = move_problem(problem, move), move(iteration)
    start = move(torch.full(problem.zeros().shape, 0.2, dtype=torch.float64))
    yield from _iterated(iteration, problem, run(iteration, problem, 3))
    yield from _iterated(iteration, problem, run(iteration, problem, 3, start))
    state = run(iteration, problem, 1)
    yield "unflattened", iteration.estimate(state.unflatten(state.flatten()))
    yield "taken", iteration.estimate(iteration.step(problem.take(index := move(torch.tensor([2]))), state.take(index)))
    yield "stopped", solve(problem, iteration, stop=Stop(4, every=2)).x


def _iterated(iteration: Iteration, problem: Problem, state: Any) -> Steps:
    yield "estimate", iteration.estimate(state)
    yield "error bound", iteration.error_bound(problem, state)
    yield "duality gap", iteration.duality_gap(problem, state)
    yield "penalty", iteration.training_penalty(problem, state)


def accelerations(subject: Subject, move: Move) -> Steps:
    problem = move_problem(least_squares(QuadraticRegularizer()).problem, move)
    solution = solve(problem, GradientStep(), stop=Stop(12), acceleration=move(subject.build()))
    yield "solution", solution.x


def gradients(subject: Subject, move: Move) -> Steps:
    problem = move_problem(least_squares(QuadraticRegularizer()).problem, move)
    y = problem.measurement.clone().requires_grad_()
    posed = Problem(problem.operator, y, problem.fidelity, problem.regularizer)
    x = solve(posed, GradientStep(), stop=Stop(20), gradient=move(subject.build())).x
    yield "solution", x
    if x.requires_grad:
        yield "gradient", torch.autograd.grad(x.square().sum(), y)[0]


def stopping(subject: Subject, move: Move) -> Steps:
    problem = move_problem(least_squares(QuadraticRegularizer()).problem, move)
    solution = solve(problem, GradientStep(), stop=Stop(40, [move(subject.build())], every=3))
    yield "solution", solution.x
    yield "iterations", float(sum(solution.iterations))


def networks(subject: Subject, move: Move) -> Steps:
    network = subject.build().eval()
    x = move(normal(image_space(network)))
    network = move(network)
    yield "images", network(x)
    yield "gradient", _gradient(network, x)
    yield from _parameters(network.train(), lambda: network(x))


def solvers(subject: Subject, move: Move) -> Steps:
    solver = subject.build().eval()
    operator, y = image_problem(solver)
    solver, operator, y = move(solver), move(operator), move(y)
    yield "images", solver(y, operator)
    yield "solved", solver.solve(solver.pose(y, operator)).x
    broken = y.clone()
    broken[1] = float("nan")
    yield "beside a broken one", solver.solve(solver.pose(broken, operator)).x
    with suppress(CompositionError):
        yield "to an accuracy", solver.solve(solver.pose(y, operator), accuracy=1e-2).bound
    yield "penalty", solver.train().with_penalty(y, operator)[1]
    yield from _parameters(solver, lambda: solver.with_penalty(y, operator)[0])


def metrics(subject: Subject, move: Move) -> Steps:
    metric = subject.build()
    x, truth = (move(t) for t in _images(metric)(0.1))
    yield "value", metric(x, truth)
    yield "weight", metric.weight(truth)


def datasets(subject: Subject, move: Move) -> Steps:
    """Samples are read here; one that brings its operator is measured there."""
    sample = subject.build()[0]
    if sample.operator is not None and sample.measurement is not None:
        operator, y = move(sample.operator), move(sample.measurement)[None]
        yield "adjoint", operator.adjoint(y)
        yield "calibrated", operator.calibrated(y).pinv(y)


def patterns(subject: Subject, move: Move) -> Steps:
    yield "on the device", move(subject.build()((16, 16)))


def move_problem(problem: Problem, move: Move) -> Problem:
    return Problem(move(problem.operator), move(problem.measurement), move(problem.fidelity), move(problem.regularizer))


def _gradient(call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """Of half the squared norm of the result."""
    point = x.detach().requires_grad_()
    value = call(point)
    half = 0.5 * value.abs().square().sum()
    return torch.autograd.grad(half, point, allow_unused=True)[0] if value.requires_grad else None


def _parameters(module: nn.Module, call: Callable[[], Tensor]) -> Steps:
    learned = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if learned:
        found = torch.autograd.grad(call().abs().square().sum(), list(learned.values()), allow_unused=True)
        yield from zip((f"gradient of {name}" for name in learned), found, strict=True)


EXERCISES: dict[str, Callable[[Subject, Move], Steps]] = {
    "operators": operators,
    "patterns": patterns,
    "noise": noise,
    "fidelities": fidelities,
    "regularizers": regularizers,
    "iterations": iterations,
    "accelerations": accelerations,
    "gradients": gradients,
    "stopping": stopping,
    "networks": networks,
    "solvers": solvers,
    "metrics": metrics,
    "datasets": datasets,
}
