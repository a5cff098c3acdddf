"""How accurately the lower level is solved: as the upper level needs it, to one tolerance, or not controlled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from wellposed import InputError

from .evaluation import Evaluation, accuracy_for
from .lower_level import Demand

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}
#: Accuracies asked for stay above this: the certificates themselves round.
_FLOOR = 1e-14


class Accuracy(Protocol):
    """What a trust-region method asks of the lower level."""

    def model(self, radius: float) -> Demand:
        """For a point that models within `radius` interpolate."""
        ...

    def decrease(self, radius: float, predicted: float, centre: Evaluation) -> Demand:
        """For telling whether a `predicted` decrease from `centre` is real."""
        ...

    def resolves(self, evaluation: Evaluation, predicted: float) -> bool:
        """Whether the evaluation's error is small beside the predicted decrease."""
        ...

    def supports(self, evaluation: Evaluation, radius: float) -> bool:
        """Whether the evaluation is accurate enough for a model within `radius`."""
        ...

    def is_lower(self, new: Evaluation, old: Evaluation) -> bool:
        """Whether the objective at `new` is taken to be lower than at `old`."""
        ...


@dataclass(frozen=True)
class Dynamic:
    """As accurate as the step needs: `d ≤ factor·Δ²` for models, error of `f` ≤ `share`·(predicted decrease).

    With `share` below half the smallest accepted ratio every accepted step decreases the exact objective.
    Source: Ehrhardt and Roberts 2021, Algorithm 1, with c = 10; `share` is their η₁'.
    """

    factor: float = 10.0
    share: float = 0.04

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    def __post_init__(self) -> None:
        if not self.factor > 0:
            raise InputError(f"the factor of dynamic accuracy must be positive; got {self.factor}")
        if not 0 < self.share < 0.05:
            raise InputError(f"the share must lie in (0, 0.05), half the smallest accepted ratio; got {self.share}")

    def model(self, radius: float) -> Demand:
        return Demand(max(self.factor * radius**2, _FLOOR))

    def decrease(self, radius: float, predicted: float, centre: Evaluation) -> Demand:
        needed = accuracy_for(0.99 * self.share * predicted, centre.data, len(centre.residuals))
        return Demand(max(min(needed, self.factor * radius**2), _FLOOR))

    def resolves(self, evaluation: Evaluation, predicted: float) -> bool:
        return evaluation.error <= self.share * predicted

    def supports(self, evaluation: Evaluation, radius: float) -> bool:
        return bool(evaluation.bounds.max() <= self.factor * radius**2)

    def is_lower(self, new: Evaluation, old: Evaluation) -> bool:
        return _surely_lower(new, old)


@dataclass(frozen=True)
class Tolerance:
    """Every lower-level solve certified to the same `tolerance`, whatever the upper level does.

    A point whose solve misses it (iteration limit) is taken for a better one only where its error leaves no doubt.
    """

    tolerance: float

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise InputError(f"the tolerance must be positive; got {self.tolerance}")

    def model(self, radius: float) -> Demand:
        return Demand(self.tolerance)

    def decrease(self, radius: float, predicted: float, centre: Evaluation) -> Demand:
        return Demand(self.tolerance)

    def resolves(self, evaluation: Evaluation, predicted: float) -> bool:
        return evaluation.attained

    def supports(self, evaluation: Evaluation, radius: float) -> bool:
        return True

    def is_lower(self, new: Evaluation, old: Evaluation) -> bool:
        return (new.attained and new.value < old.value) or _surely_lower(new, old)


@dataclass(frozen=True)
class Iterations:
    """Every lower-level solve runs `iterations` steps; nothing is certified."""

    iterations: int

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError(f"at least one iteration is needed; got {self.iterations}")

    def model(self, radius: float) -> Demand:
        return Demand(iterations=self.iterations)

    def decrease(self, radius: float, predicted: float, centre: Evaluation) -> Demand:
        return Demand(iterations=self.iterations)

    def resolves(self, evaluation: Evaluation, predicted: float) -> bool:
        return True

    def supports(self, evaluation: Evaluation, radius: float) -> bool:
        return True

    def is_lower(self, new: Evaluation, old: Evaluation) -> bool:
        return new.value < old.value


def _surely_lower(new: Evaluation, old: Evaluation) -> bool:
    """Whatever the exact objectives are within their errors."""
    return new.value + new.error < old.value - old.error
