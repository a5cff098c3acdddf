"""The bare interfaces: what a subclass must write is asked for, what it may leave out has the stated default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wellposed import (
    Acceleration,
    CompositionError,
    Dataset,
    Iteration,
    Operator,
    Problem,
    Regularizer,
    Simulated,
    Space,
)
from wellposed.fidelity import Fidelity
from wellposed.layers import LayeredIteration, LayerState, check_planes
from wellposed.metric import Metric
from wellposed.noise import Noise, NoNoise
from wellposed.operator import LinearOperator
from wellposed.pattern import Pattern
from wellposed.pseudo_inverse import PseudoInverse
from wellposed.regularizer import Analysis
from wellposed.solver import Solver
from wellposed.stopping import Rule
from wellposed.testing.doubles import Bumps, DenseOperator, QuadraticFidelity, SaturatingOperator
from wellposed.trainer import Fitted, Trainer
from wellposed.training import Course

X = torch.ones(2, 3)
SPACE = Space((3,), torch.float64)
IDENTITY = torch.eye(3).tolist()

REQUIRED: dict[str, Callable[[], Any]] = {
    "pattern": lambda: Pattern()((3,)),
    "noise": lambda: Noise()(X, torch.Generator()),
    "its fidelity": lambda: Noise().fidelity(),
    "metric": lambda: Metric()(X, X),
    "dataset": lambda: Dataset()[0],
    "length": lambda: len(Dataset()),
    "trainer": lambda: Trainer().fit(nn.Linear(1, 1), Bumps(), Path()),
    "solver": lambda: Solver()(X, Operator(SPACE, SPACE)),
    "solve": lambda: Solver().solve(None),  # type: ignore[arg-type]
    "rule": lambda: Rule().measure(None),  # type: ignore[arg-type]
    "level": lambda: Rule().level(None),  # type: ignore[arg-type]
    "analysis": lambda: Analysis()(X),
    "its adjoint": lambda: Analysis().adjoint(X),
    "its norm": lambda: Analysis().norm(X),
    "operator": lambda: Operator(SPACE, SPACE)(X),
    "adjoint": lambda: LinearOperator(SPACE, SPACE).adjoint(X),
    "iteration": lambda: Iteration().init(None),  # type: ignore[arg-type]
    "step": lambda: Iteration().step(None, None),  # type: ignore[arg-type]
    "layers": lambda: LayeredIteration().depth,
    "layer": lambda: LayeredIteration().layer(None, None, 0),  # type: ignore[arg-type]
    "acceleration": lambda: Acceleration().advance(None, None, None),  # type: ignore[arg-type]
    "loss": lambda: Course().loss(None, 0),
    "rates": lambda: Course().rates(0),
    "load": lambda: Course().load(Bumps(), [0], torch.device("cpu")),
    "measure": lambda: Course().measure(None, 0),
    "fidelity": lambda: Fidelity()(X, X),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_what_a_subclass_must_write_is_missed(name: str) -> None:
    with pytest.raises(NotImplementedError):
        REQUIRED[name]()


def test_metrics_count_all_images_alike() -> None:
    metric = Metric()
    assert metric.better == "higher"
    assert metric.unit == ""
    assert metric.weight(X).tolist() == [1.0, 1.0]
    assert metric.pooled([1.0, 4.0], [3.0, 1.0]) == 1.75


def test_no_noise_is_the_identity_and_the_default_of_simulations() -> None:
    assert NoNoise()(X, torch.Generator()) is X
    operator = DenseOperator(torch.eye(9).tolist(), (1, 3, 3)).float()
    data = Simulated(Bumps(count=2, size=3), operator)
    sample = data[1]
    torch.testing.assert_close(sample.measurement, operator(sample.truth[None])[0])


def test_declarations_of_those_that_declare_nothing() -> None:
    regularizer = Regularizer()
    assert (regularizer.convex, regularizer.strong_convexity, regularizer.smoothness) == (False, 0.0, None)
    assert (regularizer.capabilities, regularizer.invariances) == (frozenset(), frozenset())
    assert Analysis().solve_normal(X, 1.0) is None
    assert Iteration.linear_only is True
    assert Iteration.stationary is True
    assert Iteration.differentiable is True
    assert Rule().take(torch.tensor([0])) is not None
    fitted = Fitted(nn.Linear(1, 1), 3)
    assert (fitted.steps, fitted.metrics, fitted.arguments) == (3, {}, {})


def test_the_pseudo_inverse_is_the_operator_s_own() -> None:
    operator = DenseOperator([[2.0, 0.0, 0.0], [0.0, 4.0, 0.0]], (1, 1, 3))
    y = torch.tensor([[2.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(PseudoInverse()(y, operator).flatten(), torch.tensor([1.0, 0.5, 0.0]).double())
    bent = SaturatingOperator(IDENTITY, (3,))
    problem = Problem(bent, X.double(), QuadraticFidelity())
    for call in (lambda: PseudoInverse().check(problem), lambda: PseudoInverse()(X.double(), bent)):
        with pytest.raises(CompositionError, match="SaturatingOperator is not linear and has no direct inversion"):
            call()


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (1, 4, 4, 4)])
def test_planes_have_their_channels_and_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(CompositionError, match=r"made for images of shape \(1, rows, columns\)"):
        check_planes("net", DenseOperator(IDENTITY, (3,)), "images", Space(shape), 1)
    assert LayerState(count=torch.zeros(1)).tensors() == []


class Recording(QuadraticFidelity):
    """Keeps what it was asked to check."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def check(self, y: Tensor) -> None:
        self.seen.append(y)


def test_a_fidelity_checks_finite_measurements_alone() -> None:
    operator = DenseOperator(IDENTITY, (3,))
    y = torch.arange(12, dtype=torch.float64).reshape(4, 3)
    fidelity = Recording()
    Problem(operator, y, fidelity)
    broken = y.clone()
    broken[1, 2], broken[3, 0] = torch.nan, torch.inf
    problem = Problem(operator, broken, fidelity)
    assert torch.equal(fidelity.seen[0], y)
    assert torch.equal(fidelity.seen[1], y[[0, 2]])
    assert problem.finite.tolist() == [True, False, True, False]


class Unbounded(SaturatingOperator):
    """A nonlinear map of which no bound is known."""

    def norm(self) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize("unknown", ["outer", "inner"])
def test_the_norm_of_a_product_is_known_where_both_are(unknown: str) -> None:
    known = DenseOperator((2 * torch.eye(3)).tolist(), (3,))
    free = Unbounded(IDENTITY, (3,))
    product = free @ known if unknown == "outer" else known @ free
    assert product.norm() is None
    assert (SaturatingOperator(IDENTITY, (3,)) @ known).norm() == pytest.approx(3.0)


@pytest.mark.parametrize("precise_first", [True, False])
def test_norms_are_taken_in_the_best_precision_that_an_operator_holds(precise_first: bool) -> None:
    class Weighed(LinearOperator):
        """`y = w·Mx` with the weights in single and the matrix in double precision."""

        def __init__(self) -> None:
            super().__init__(SPACE, SPACE)
            parts = {"matrix": torch.diag(torch.tensor([1.0, 2.0, 3.0]).double()), "weights": torch.ones(3)}
            for name in parts if precise_first else reversed(parts):
                self.register_buffer(name, parts[name])

        def _forward(self, x: Tensor) -> Tensor:
            return self.weights * (x @ self.matrix.T)

        def _adjoint(self, y: Tensor) -> Tensor:
            return (self.weights * y) @ self.matrix

    assert Weighed().norm() == pytest.approx(3.0, rel=1e-6)
