"""Under autocast networks round, operators do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wellposed.testing.doubles import DenseOperator


@pytest.fixture
def operator() -> DenseOperator:
    matrix = torch.randn(30, 16, generator=torch.Generator().manual_seed(0))
    return DenseOperator.from_tensor(matrix, (1, 4, 4)).float()


def test_an_operator_gives_the_same_bits_under_autocast(operator: DenseOperator) -> None:
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y, gram, norm, solved = operator(x), operator.gram(x), operator.norm(), operator.solve_normal(x, 0.5)
    again = DenseOperator.from_tensor(operator.matrix, (1, 4, 4)).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(again(x), y)
        assert torch.equal(again.adjoint(y), operator.adjoint(y))
        assert torch.equal(again.gram(x), gram)
        assert torch.equal(again.solve_normal(x, 0.5), solved)
        assert again.norm() == norm


def test_what_a_network_rounded_is_taken_in_single_precision(operator: DenseOperator) -> None:
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    layer = nn.Conv2d(1, 1, 3, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded: Tensor = layer(x)
        assert rounded.dtype == torch.bfloat16
        y = operator(rounded)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, operator(rounded.float()))
    y.square().sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_the_backward_pass_does_not_round_either(operator: DenseOperator) -> None:
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    v = torch.randn(2, 30, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", torch.bfloat16):
        (gradient,) = torch.autograd.grad(operator(x), x, v)
    assert torch.equal(gradient, operator.adjoint(v))
