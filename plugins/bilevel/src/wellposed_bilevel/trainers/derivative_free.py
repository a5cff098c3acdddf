"""The trainer `bilevel-dfo`: bilevel learning without derivatives, with dynamic accuracy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from wellposed import Dataset, Trainer
from wellposed.trainer import Fitted

from ..accuracy import Dynamic, Iterations, Tolerance
from ..conditioning import ConditionPenalty
from ..evaluator import Budget, Evaluator
from ..parameters import Parameter, ParameterSpace
from ..transcript import Transcript
from ..trust_region import LeastSquaresTrustRegion, Region
from ..upper_level import UpperLevel
from .example import WEIGHT, example_task
from .outcome import finish


class DerivativeFree(Trainer):
    """`min_θ Σ_i ‖x_i(θ) − truth_i‖² + J(θ)` over a box, by a derivative-free trust-region method.

    `x_i(θ)` minimises the lower-level objective of the target, an iterative solver whose iteration
    certifies `‖x − x_i(θ)‖`; images `(n, *domain.shape)` are one batch. `parameters`: what is
    learned, each with its path, start, box and scale. `penalty`: `{weight: b}` adds `J = b (L/μ)²`, the
    lower level's squared condition number; without it `J = 0`. `accuracy`: how the lower level is
    solved, `{}` or `{factor: …, share: …}` as each step needs it, `{tolerance: …}` to one certified
    tolerance, `{iterations: …}` a fixed number of steps without certificates. `evaluations` and `work`
    (lower-level iterations, summed over the images) are the budget. `initial_radius`, `final_radius`:
    fractions of the box.

    The folder holds `evaluations.jsonl`, `parameters.json` and what a run needs to go on after a kill.
    Raises `InputError` where the data, the target or the folder do not fit.
    Source: Ehrhardt and Roberts 2021, Algorithm 1.
    """

    source = "Ehrhardt and Roberts 2021, Inexact derivative-free optimization for bilevel learning, Algorithm 1"

    def __init__(
        self,
        parameters: list[Parameter],
        accuracy: Dynamic | Tolerance | Iterations | None = None,
        evaluations: int = 100,
        work: int | None = None,
        penalty: ConditionPenalty | None = None,
        initial_radius: float = 0.1,
        final_radius: float = 1e-6,
    ) -> None:
        self.space = ParameterSpace(parameters)
        self.accuracy = accuracy or Dynamic()
        self.budget = Budget(evaluations, work)
        self.penalty = penalty
        self.region = Region(initial_radius, final_radius)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"parameters": [WEIGHT], "evaluations": 12},
            {"parameters": [WEIGHT], "evaluations": 8, "accuracy": {"tolerance": 1e-3}},
        )

    @classmethod
    def example_task(cls) -> tuple[nn.Module, Dataset]:
        """What the conformance kit trains: the weight of a squared norm."""
        return example_task()

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: Any = None) -> Fitted:
        problem = UpperLevel.pose(target, data, self.space, self.penalty)
        transcript = Transcript(folder, self._settings(problem))
        evaluator = Evaluator(problem, transcript, self.budget, observer)
        method = LeastSquaresTrustRegion(evaluator, self.accuracy, self.region, self.space.start)
        ending = method.run()
        return finish(problem, evaluator, method.best, ending.name.lower())

    def _settings(self, problem: UpperLevel) -> dict[str, Any]:
        return {
            "trainer": "bilevel-dfo",
            "parameters": [asdict(p) for p in self.space.parameters],
            "accuracy": {"kind": type(self.accuracy).__name__, **asdict(self.accuracy)},
            "penalty": None if self.penalty is None else asdict(self.penalty),
            "region": asdict(self.region),
            **problem.document(),
        }
