"""The numbers of a training loop that every trainer has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import InputError
from .order import Order

Precision = Literal["full", "bfloat16", "float16"]

#: How often something is written changes no number; a training may go on with others.
_FREE = ("validate_every", "checkpoint_every", "log_every")


@dataclass(frozen=True)
class Pace:
    """How many steps of how many samples, and how often something is written.

    `batch` samples make a step, over all processes, and are used for `reuse` steps in a row. `clip` is the largest
    Euclidean norm of the whole gradient. `precision` is that of the networks' arithmetic. The last `validation`
    samples of the data are kept out. Raises `InputError` for numbers that make no training.
    """

    steps: int
    batch: int = 1
    reuse: int = 1
    clip: float | None = None
    precision: Precision = "full"
    validation: int = 0
    validate_every: int = 500
    checkpoint_every: int = 500
    log_every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "reuse", "validate_every", "checkpoint_every", "log_every"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(self.validation >= 0, "validation", "at least 0", self.validation)
        require(self.clip is None or self.clip > 0, "clip", "positive", self.clip)

    def order(self, samples: int) -> Order:
        """Which samples each step sees; raises `InputError` where validation leaves none to train on."""
        if samples - self.validation < 1:
            raise InputError(
                f"the dataset holds {samples} samples and {self.validation} are kept for validation; "
                f"nothing is left to train on"
            )
        return Order(samples - self.validation, self.batch, self.reuse, self.seed)

    def document(self) -> dict[str, Any]:
        """What decides the numbers of the training, as JSON gives it back."""
        return {k: v for k, v in asdict(self).items() if k not in _FREE}


def require(holds: bool, name: str, what: str, given: object) -> None:
    """Raise `InputError`: `name` must be `what`."""
    if not holds:
        raise InputError(f"{name} must be {what}; {given} was given")
