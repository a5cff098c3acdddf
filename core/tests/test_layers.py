"""Iterations made of layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from wellposed import CompositionError, InputError, Problem, Space, Stop, solve
from wellposed.algebra import ScaledOperator
from wellposed.layers import LayeredIteration, LayerState, check_planes, no_layers
from wellposed.linear_algebra import inverse_norm
from wellposed.testing.doubles import DenseOperator, PeriodicBlur
from wellposed.testing.problems import least_squares


@dataclass(frozen=True)
class Sum(LayerState):
    x: Tensor


class Powers(LayeredIteration[Sum]):
    """Layer k adds 10^k."""

    requires = frozenset()

    def init(self, problem: Problem, x: Tensor | None = None) -> Sum:
        return Sum(problem.zeros() if x is None else x, count=no_layers(problem))

    @property
    def depth(self) -> int:
        return 3

    def layer(self, problem: Problem, state: Sum, k: int) -> Sum:
        return replace(state, x=state.x + 10.0**k)


def test_layers_follow_each_other_and_end() -> None:
    problem = least_squares().problem
    assert float(solve(problem, Powers(), stop=Stop(3)).x.max()) == 111.0
    with pytest.raises(InputError, match="Powers was made with 3 layers; it has no layer 4"):
        solve(problem, Powers(), stop=Stop(4))
    state = Powers().init(problem)
    assert [len(t) for t in state.tensors(bookkeeping=True)] == [problem.batch] * 2
    assert state.flatten().shape == (problem.batch, problem.operator.domain.size)  # the count is no part of the image


def test_planes_are_asked_for_in_a_sentence() -> None:
    operator = PeriodicBlur((1, 4, 4))
    check_planes("net", operator, "images", operator.domain, 1)
    with pytest.raises(CompositionError, match=r"this net is made for images of shape \(3, rows, columns\)"):
        check_planes("net", operator, "images", operator.domain, 3)
    with pytest.raises(CompositionError, match="'complexify'"):
        check_planes("net", operator, "images", Space((1, 4, 4), torch.complex64), 1)


def test_scaling_to_norm_one_leaves_the_zero_operator_alone() -> None:
    operator = DenseOperator([[3.0, 0.0], [0.0, 1.0]], (1, 1, 2))
    assert inverse_norm(operator) == pytest.approx(1 / 3, rel=1e-3)
    assert inverse_norm(ScaledOperator(operator, 0.0)) == 1.0
