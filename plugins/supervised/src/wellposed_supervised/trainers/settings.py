"""The numbers of a supervised training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from wellposed.errors import InputError

from .order import Order

#: How often something is written changes no number; a training may go on with others.
_FREE = ("validate_every", "checkpoint_every", "log_every")


@dataclass(frozen=True)
class Settings:
    """See `Supervised`; raises `InputError` for settings that make no training."""

    steps: int
    batch: int
    reuse: int
    learning_rate: float
    final_learning_rate: float
    betas: tuple[float, float]
    clip: float | None
    precision: Literal["full", "bfloat16", "float16"]
    validation: int
    validate_every: int
    checkpoint_every: int
    log_every: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "reuse", "validate_every", "checkpoint_every", "log_every"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _require(self.validation >= 0, "validation", "at least 0", self.validation)
        _require(self.learning_rate > 0, "learning_rate", "positive", self.learning_rate)
        _require(self.final_learning_rate >= 0, "final_learning_rate", "at least 0", self.final_learning_rate)
        _require(all(0 <= b < 1 for b in self.betas), "betas", "in [0, 1)", self.betas)
        _require(self.clip is None or self.clip > 0, "clip", "positive", self.clip)

    def learning_rate_of(self, step: int) -> float:
        """The rate of step `step`, counted from 0; it would be `final_learning_rate` at step `steps`."""
        part = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * part

    def order(self, samples: int) -> Order:
        return Order(samples - self.validation, self.batch, self.reuse, self.seed)

    def check_data(self, samples: int) -> None:
        if samples - self.validation < 1:
            raise InputError(
                f"the dataset holds {samples} samples and {self.validation} are kept for validation; "
                f"nothing is left to train on"
            )

    def document(self) -> dict[str, Any]:
        """What decides the numbers of the training, as JSON gives it back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if k not in _FREE}

    def check_same(self, begun: dict[str, Any]) -> None:
        """Refuse to go on with other settings than the training was begun with."""
        own = self.document()
        other = next((k for k in own if begun.get(k) != own[k]), None)
        if other is not None:
            raise InputError(
                f"the checkpoint was made with {other} = {begun.get(other)}, asked for is {own[other]}; train into "
                f"another folder, or remove the checkpoint to train anew"
            )


def _require(holds: bool, name: str, what: str, given: object) -> None:
    if not holds:
        raise InputError(f"{name} must be {what}; {given} was given")
