"""The layers of ALISTA: everything but a step and a threshold is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wellposed.memo import OperatorMemo, placement
from wellposed.operator import LinearOperator
from wellposed.problem import Problem

from ..analytic_weight import analytic_weight, check_size, dense_matrix
from .shrinkage_layers import ShrinkageLayers


class StepAndThreshold(nn.Module):
    """The two numbers that a layer of ALISTA learns: a step, and the logarithm of a threshold.

    Good thresholds fall by orders of magnitude from the first layer to the last, and one that became negative would
    have no derivative any more; of a logarithm every learning rate suits all of them.
    """

    def __init__(self, step: float, threshold: float) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.tensor(step))
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))

    @property
    def threshold(self) -> Tensor:
        return self.log_threshold.exp()


class AnalyticLayers(ShrinkageLayers):
    """`x ← η_k(x + γ_k Wᵀ(y − A x))` with the analytic weight `W` of the operator, which is computed once for each."""

    source = "Liu, Chen, Wang & Yin 2019, ALISTA, ICLR, equations 8 and 15"

    def __init__(self, support: Sequence[float], step: float, thresholds: Sequence[float]) -> None:
        super().__init__([StepAndThreshold(step, threshold) for threshold in thresholds], support)
        self.memo = OperatorMemo()

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_size(problem.operator)

    def linear(self, problem: Problem, k: int, x: Tensor) -> Tensor:
        residual = (problem.measurement - problem.operator(x)).flatten(1)
        step = self.layers[k].step
        assert isinstance(step, Tensor)
        return x + step * (residual @ self.weight(problem.operator, residual)).view_as(x)

    def weight(self, operator: object, like: Tensor) -> Tensor:
        """`W` `(m, n)` of an operator, in the precision and on the device of `like`."""
        assert isinstance(operator, LinearOperator)  # checked before the first step

        def compute() -> Tensor:
            # It is kept, so it must be fit for training even where inference asks for it first.
            with torch.inference_mode(False), torch.no_grad():
                return analytic_weight(dense_matrix(operator, like))

        return self.memo.get(operator, ("analytic weight", placement(like)), compute)
