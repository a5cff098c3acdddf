"""Learning rates that fall by half a cosine in each phase of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from wellposed.training import require


@dataclass(frozen=True)
class Cosine:
    """From `rate` to 0 in each of the `phases`, given by their steps; Adam's `betas` beside it.

    Raises `InputError` for numbers that make no training.
    """

    phases: tuple[int, ...]
    rate: float
    betas: tuple[float, float]

    def __post_init__(self) -> None:
        require(min(self.phases) >= 0, "the number of steps", "at least 0", min(self.phases))
        require(self.rate > 0, "learning_rate", "positive", self.rate)
        require(all(0 <= b < 1 for b in self.betas), "betas", "in [0, 1)", self.betas)

    @property
    def steps(self) -> int:
        return sum(self.phases)

    def phase_of(self, step: int) -> int:
        """The phase of step `step`, counted from 0."""
        return next(k for k in range(len(self.phases)) if step < sum(self.phases[: k + 1]))

    def of_step(self, step: int) -> float:
        phase = self.phase_of(step)
        passed = step - sum(self.phases[:phase])
        return self.rate * 0.5 * (1 + math.cos(math.pi * passed / self.phases[phase]))

    def document(self) -> dict[str, Any]:
        return {"phases": list(self.phases), "learning_rate": self.rate, "betas": list(self.betas)}
