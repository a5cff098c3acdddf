"""ALISTA: its equation, its numbers, its derivatives, and what an untrained one is."""

from __future__ import annotations

import math

import pytest
import torch

import wellposed
from wellposed.errors import InputError
from wellposed.operator import LinearOperator
from wellposed.testing.doubles import DenseOperator
from wellposed_sparse.analytic_weight import analytic_weight
from wellposed_sparse.iterations.layered import Layered
from wellposed_sparse.solvers.alista import ALISTA


def measurements(operator: LinearOperator, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    codes = torch.randn(count, *operator.domain.shape, generator=generator, dtype=torch.float64)
    return operator(codes * (codes.abs() > 1.2))


def test_it_has_two_numbers_a_layer() -> None:
    assert sum(p.numel() for p in ALISTA().parameters()) == 32
    assert [len(layer) for layer in ALISTA(layers=3).iteration.layer_parameters()] == [2, 2, 2]
    assert isinstance(ALISTA().iteration, Layered)


def test_the_support_grows_by_a_percentage_until_the_largest() -> None:
    support = ALISTA().iteration.support
    assert support[:3] == pytest.approx([0.012, 0.024, 0.036])
    assert support[9:] == pytest.approx([0.12, 0.13, 0.13, 0.13, 0.13, 0.13, 0.13])


def test_its_layers_are_those_of_the_paper(dense: LinearOperator) -> None:
    """The equation written out entry by entry."""
    solver = ALISTA(layers=3, support=12.0, max_support=30.0).double()
    generator = torch.Generator().manual_seed(8)
    for p in solver.parameters():
        p.data.add_(0.4 * torch.rand((), generator=generator, dtype=torch.float64) - 0.2)
    a = dense.matrix
    w, y = analytic_weight(a), measurements(dense)  # type: ignore[arg-type]
    for sample, found in zip(y, solver(y, dense), strict=True):
        x = torch.zeros(20, dtype=torch.float64)
        for layer, count in zip(solver.iteration.layers, (2, 5, 6), strict=True):
            v = x + float(layer.step.detach()) * (w.T @ (sample - a @ x))
            theta = float(layer.threshold.detach())
            bound = v.abs().sort(descending=True).values[count - 1]
            kept = (v.abs() >= bound) & (v.abs() > theta)
            x = torch.where(kept, v, v.sign() * (v.abs() - theta).clamp(min=0))
        assert torch.allclose(found[0], x, atol=1e-13)


def test_for_an_orthogonal_matrix_the_untrained_network_is_ista() -> None:
    """Then the weight is the matrix itself, and ISTA with step 1 takes the same thresholds."""
    square = torch.randn(16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    operator = DenseOperator.from_tensor(torch.linalg.qr(square).Q, (1, 16))
    y = measurements(operator)
    component = wellposed.component
    ista = wellposed.Iterative(
        component("iterations", "proximal-gradient")(step_size=0.6),
        component("fidelities", "l2")(),
        0.25 * component("regularizers", "l1")(),
        wellposed.Stop(6),
    )
    alista = ALISTA(layers=6, max_support=0.0).double()
    for layer in alista.iteration.layers:
        layer.step.data.fill_(0.6)  # in double precision
        layer.log_threshold.data.fill_(math.log(0.6 * 0.25))
    with torch.no_grad():
        assert float((alista(y, operator) - ista(y, operator)).abs().max()) < 1e-12


def test_derivatives_are_those_of_finite_differences(dense: LinearOperator) -> None:
    solver = ALISTA(layers=2, support=10.0).double()
    y = measurements(dense, 1).requires_grad_()
    names = [name for name, _ in solver.named_parameters()]
    parameters = [p for _, p in solver.named_parameters()]

    def apply(y: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(solver, dict(zip(names, values, strict=True)), (y, dense))

    assert torch.autograd.gradcheck(apply, (y, *parameters))


def test_its_first_layers_are_a_network_of_their_own(dense: LinearOperator) -> None:
    solver, y = ALISTA(layers=4).double(), measurements(dense)
    short = ALISTA(layers=2).double()
    assert torch.equal(solver.unrolled(2)(y, dense), short(y, dense))
    assert solver.unrolled(2).iteration is solver.iteration


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ({"layers": 0}, "needs layers from 1 to 1000; 0"),
        ({"layers": 1001}, "needs layers from 1 to 1000; 1001"),
        ({"max_support": 130.0}, "max_support from 0 to 100 percent"),
        ({"threshold": 0.0}, "threshold > 0"),
        ({"threshold_ratio": -1.0}, "threshold_ratio > 0"),
        ({"threshold_ratio": 1e-30}, "larger threshold_ratio"),
        ({"threshold": math.inf}, "threshold > 0"),
        ({"step": math.nan}, "finite step"),
    ],
)
def test_numbers_out_of_range_are_told(numbers: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ALISTA(**numbers)
