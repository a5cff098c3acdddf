"""The upper level: how far the reconstructions at given parameters are from the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wellposed import CompositionError, Dataset, InputError, Iterative, Operator, Problem
from wellposed.space import norm

from .conditioning import ConditionPenalty
from .evaluation import Evaluation
from .fingerprint import described, fingerprint
from .lower_level import Demand, solve_lower
from .parameters import ParameterSpace, Vector


@dataclass(frozen=True)
class UpperLevel:
    """`min_θ Σ_i ‖x_i(θ) − truth_i‖² + J(θ)` over the box; `x_i(θ)` minimises the lower-level objective.

    All samples are one batch: `truth` `(n, *domain.shape)`, `measurement` `(n, *range.shape)`.
    """

    solver: Iterative
    space: ParameterSpace
    operator: Operator
    truth: Tensor
    measurement: Tensor
    penalty: ConditionPenalty | None = None

    @classmethod
    def pose(
        cls, target: object, data: Dataset, space: ParameterSpace, penalty: ConditionPenalty | None = None
    ) -> UpperLevel:
        """The problem of training `target` on all samples of `data`; an `InputError` says what is missing."""
        if not isinstance(target, Iterative):
            raise CompositionError(
                f"bilevel training learns parameters of an iterative solver; {type(target).__name__} is none"
            )
        space.check(target)
        samples = [data[i] for i in range(len(data))]
        if not samples:
            raise InputError("the training data hold no sample")
        bare = next((s.name for s in samples if s.truth is None or s.measurement is None), None)
        if bare is not None:
            raise InputError(f"bilevel training needs truth and measurement of each sample; {bare} lacks one")
        broken = next((s.name for s in samples if not (_finite(s.truth) and _finite(s.measurement))), None)
        if broken is not None:
            raise InputError(
                f"truth or measurement of {broken} holds numbers that are not finite; leave it out or mend it"
            )
        operator = samples[0].operator
        if operator is None or any(s.operator is not operator for s in samples):
            raise InputError("bilevel training solves all samples as one batch: they need one operator in common")
        truths = [s.truth for s in samples if s.truth is not None]
        measurements = [s.measurement for s in samples if s.measurement is not None]
        if len({t.shape for t in truths}) > 1:
            raise InputError("bilevel training solves all samples as one batch: they must have one size")
        return cls(target, space, operator, torch.stack(truths), torch.stack(measurements), penalty)

    @property
    def count(self) -> int:
        return len(self.truth)

    def problem(self, point: Vector) -> Problem:
        """The lower-level problem at a point of the unit box."""
        solver = self.solver
        parts = {"regularizer": solver.regularizer, "fidelity": solver.fidelity} | self.space.parts(solver, point)
        for part in parts.values():
            self._place(part)
        return Problem(self.operator, self.measurement, parts["fidelity"], parts["regularizer"])

    def evaluate(self, index: int, point: Vector, demand: Demand, start: Tensor | None) -> tuple[Evaluation, Tensor]:
        """The objective at `point` from lower-level solutions as `demand` asks, started from the images `start`."""
        problem = self.problem(point)
        lower = solve_lower(self.solver, problem, demand, start)
        evaluation = Evaluation(
            index=index,
            point=point.copy(),
            residuals=norm(lower.x - self.truth).double().cpu().numpy(),
            bounds=np.array(lower.bounds, dtype=np.float64),
            penalty=0.0 if self.penalty is None else self.penalty(problem),
            demand=demand,
            work=lower.iterations,
            attained=lower.attained,
        )
        return evaluation, lower.x

    def install(self, point: Vector) -> None:
        """Write the parameters of `point` into the solver that is trained."""
        for part, built in self.space.parts(self.solver, point).items():
            setattr(self.solver, part, self._place(built))

    def document(self) -> dict[str, Any]:
        """Data and lower level as plain data, the learned parameters at their start: what a transcript belongs to."""
        problem, solver = self.problem(self.space.start), self.solver
        lower = (problem.fidelity, problem.regularizer, solver.iteration, solver.stop, solver.acceleration)
        return {
            "data": fingerprint((self.truth, self.measurement)),
            "operator": described(self.operator),
            "solver": [described(part) for part in lower],
        }

    def _place(self, module: nn.Module) -> nn.Module:
        return module.to(device=self.measurement.device, dtype=self.measurement.dtype.to_real())


def _finite(tensor: Tensor | None) -> bool:
    return tensor is not None and bool(torch.isfinite(tensor).all())
