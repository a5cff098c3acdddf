"""The trainer `bilevel-implicit`: bilevel learning by gradients from the implicit function theorem."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from torch import Tensor, nn

from wellposed import Dataset, InputError, Trainer
from wellposed.trainer import Fitted

from ..accuracy import Tolerance
from ..conditioning import ConditionPenalty
from ..evaluation import Evaluation
from ..evaluator import Budget, BudgetSpent, Evaluator
from ..hypergradient import hypergradient
from ..parameters import Parameter, ParameterSpace, Vector
from ..transcript import Transcript
from ..upper_level import UpperLevel
from .example import WEIGHT, example_task
from .outcome import finish

log = logging.getLogger(__name__)


class ImplicitGradient(Trainer):
    """`min_θ Σ_i ‖x_i(θ) − truth_i‖² + J(θ)` over a box, by L-BFGS-B with implicit gradients.

    `x_i(θ)` minimises the lower-level objective of the target, an iterative solver with a twice
    differentiable, strongly convex objective; images `(n, *domain.shape)` are one batch. `tolerance`:
    certified accuracy of each lower-level solve; `linear_tolerance`: relative residual of the Hessian
    systems, solved by at most `linear_limit` conjugate gradient steps. `parameters`, `penalty` and the
    budget `evaluations`, `work` are those of `bilevel-dfo`.

    The folder holds what `bilevel-dfo` writes. Raises `InputError` where data, target or folder do not fit.
    Sources: Sherry et al. 2020, section III; Byrd, Lu, Nocedal and Zhu 1995 (L-BFGS-B).
    """

    source = "Sherry et al. 2020, Learning the sampling pattern for MRI, section III; Byrd et al. 1995 (L-BFGS-B)"

    def __init__(
        self,
        parameters: list[Parameter],
        tolerance: float = 1e-4,
        linear_tolerance: float = 1e-6,
        linear_limit: int = 2000,
        evaluations: int = 100,
        work: int | None = None,
        penalty: ConditionPenalty | None = None,
    ) -> None:
        if not linear_tolerance > 0 or linear_limit < 1:
            raise InputError(
                f"the Hessian systems need a tolerance > 0 and a limit ≥ 1; got {linear_tolerance} and {linear_limit}"
            )
        self.space = ParameterSpace(parameters)
        self.accuracy = Tolerance(tolerance)
        self.linear_tolerance, self.linear_limit = linear_tolerance, linear_limit
        self.budget = Budget(evaluations, work)
        self.penalty = penalty

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"parameters": [WEIGHT], "evaluations": 12}, {"parameters": [WEIGHT], "tolerance": 1e-3, "work": 1200})

    @classmethod
    def example_task(cls) -> tuple[nn.Module, Dataset]:
        """What the conformance kit trains: the weight of a squared norm."""
        return example_task()

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: Any = None) -> Fitted:
        problem = UpperLevel.pose(target, data, self.space, self.penalty)

        def gradient_at(evaluation: Evaluation, x: Tensor) -> Mapping[str, Any]:
            found = hypergradient(problem, evaluation.point, x, self.linear_tolerance, self.linear_limit)
            if found.residual > 10 * self.linear_tolerance:
                log.warning("a Hessian system was solved to %.1e only; raise linear_limit", found.residual)
            return {
                "gradient": found.gradient.tolist(),
                "linear_residual": found.residual,
                "hessian_products": found.products,
            }

        transcript = Transcript(folder, self._settings(problem))
        evaluator = Evaluator(problem, transcript, self.budget, observer, gradient_at)
        ending = self._minimize(evaluator)
        assert evaluator.best is not None, "a budget allows one evaluation"
        return finish(problem, evaluator, evaluator.best, ending)

    def _minimize(self, evaluator: Evaluator) -> str:
        demand = self.accuracy.model(0.0)

        def value_and_gradient(point: Vector) -> tuple[float, Vector]:
            evaluation, entry = evaluator.evaluate_with_extra(np.clip(point, 0.0, 1.0), demand)
            evaluator.retain(e for e in (evaluation, evaluator.best) if e is not None)
            return evaluation.value, np.array(entry["gradient"], dtype=np.float64)

        bounds = [(0.0, 1.0)] * self.space.dimension
        options = {"maxiter": 10 * self.budget.evaluations, "maxfun": 10 * self.budget.evaluations}
        try:
            found = minimize(
                value_and_gradient, self.space.start, method="L-BFGS-B", jac=True, bounds=bounds, options=options
            )
        except BudgetSpent:
            return "budget"
        return "converged" if found.success else "line search failed"

    def _settings(self, problem: UpperLevel) -> dict[str, Any]:
        return {
            "trainer": "bilevel-implicit",
            "parameters": [asdict(p) for p in self.space.parameters],
            "accuracy": asdict(self.accuracy),
            "linear solver": {"tolerance": self.linear_tolerance, "limit": self.linear_limit},
            "penalty": None if self.penalty is None else asdict(self.penalty),
            **problem.document(),
        }
