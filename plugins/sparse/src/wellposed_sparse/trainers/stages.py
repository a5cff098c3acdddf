"""The schedule of a training layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wellposed.training import require


@dataclass(frozen=True)
class Stages:
    """For each layer in turn some stages: the first trains the new layer alone, the others all layers so far.

    Raises `InputError` for numbers that make no training.
    """

    steps: tuple[int, ...]
    learning_rates: tuple[float, ...]
    decay: float

    def __post_init__(self) -> None:
        given = f"{list(self.steps)} and {list(self.learning_rates)}"
        require(0 < len(self.steps) == len(self.learning_rates), "stage_steps", "as many as learning_rates", given)
        require(all(n >= 0 for n in self.steps), "stage_steps", "at least 0 each", list(self.steps))
        require(sum(self.steps) > 0, "the sum of stage_steps", "at least 1", sum(self.steps))
        require(all(r > 0 for r in self.learning_rates), "learning_rates", "positive", list(self.learning_rates))
        require(0 < self.decay <= 1, "decay", "in (0, 1]", self.decay)

    @property
    def steps_per_layer(self) -> int:
        return sum(self.steps)

    def layer_of(self, step: int) -> int:
        """The newest layer at step `step`, both counted from 0."""
        return step // self.steps_per_layer

    def rates(self, step: int, layers: int) -> list[float]:
        """The learning rate of each of `layers` layers at a step; 0 for those that do not learn."""
        newest, left = divmod(step, self.steps_per_layer)
        stage = 0
        while left >= self.steps[stage]:
            left -= self.steps[stage]
            stage += 1
        rate = self.learning_rates[stage]
        if stage == 0:
            return [rate if k == newest else 0.0 for k in range(layers)]
        return [rate * self.decay ** (newest - k) if k <= newest else 0.0 for k in range(layers)]

    def document(self) -> dict[str, Any]:
        return {
            "stage_steps": list(self.steps),
            "learning_rates": list(self.learning_rates),
            "decay": self.decay,
        }
