"""The learned numbers: where they stand in a solver, their scale and their box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wellposed import InputError, Iterative

from .rebuild import rebuilt, value_at

Vector = NDArray[np.floating[Any]]
#: The parts of a solver that parameters may stand in: what the lower-level objective is made of.
_PARTS = ("regularizer", "fidelity")
#: A power of ten and its inverse beyond this are no double precision numbers.
_LARGEST_EXPONENT = 300.0


@dataclass(frozen=True)
class Parameter:
    """One learned number.

    `path`: where it stands in the solver, a dotted path to a constructor argument: `regularizer.alpha`,
    `regularizer.terms.0.weight`. `start` and `box` are in the units of `scale`: exponents of 10 for
    `log10`, the number itself for `linear`.
    """

    path: str
    start: float
    box: tuple[float, float]
    scale: Literal["log10", "linear"] = "log10"

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    def __post_init__(self) -> None:
        lower, upper = self.box
        limit = _LARGEST_EXPONENT if self.scale == "log10" else float("inf")
        if not (abs(lower) < limit and abs(upper) < limit):
            raise InputError(
                f"{self.path}: the ends of the box must be finite"
                + (f" exponents of 10 below {limit:g}" if self.scale == "log10" else "")
                + f"; got [{lower}, {upper}]"
            )
        if not lower < upper:
            raise InputError(f"{self.path}: the box needs its lower end below its upper; got [{lower}, {upper}]")
        if not lower <= self.start <= upper:
            raise InputError(f"{self.path}: the start {self.start} lies outside the box [{lower}, {upper}]")
        if self.path.partition(".")[0] not in _PARTS or "." not in self.path:
            raise InputError(f"a parameter's path starts with regularizer. or fidelity.; got {self.path!r}")

    def value(self, theta: float) -> float:
        """The number itself from its exponent, or itself."""
        return 10.0**theta if self.scale == "log10" else theta


class ParameterSpace:
    """All parameters of a problem as one point of the unit box `[0, 1]^p`.

    Raises `InputError` where there is none, or one stands twice.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        if not parameters:
            raise InputError("nothing is to be learned: name at least one parameter")
        paths = [p.path for p in parameters]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise InputError(f"the parameter {twice} is given twice")
        self.parameters = tuple(parameters)
        self._lower = np.array([p.box[0] for p in parameters], dtype=np.float64)
        self._width = np.array([p.box[1] - p.box[0] for p in parameters], dtype=np.float64)

    @property
    def dimension(self) -> int:
        return len(self.parameters)

    @property
    def start(self) -> Vector:
        return (np.array([p.start for p in self.parameters], dtype=np.float64) - self._lower) / self._width

    def theta(self, point: Vector) -> dict[str, float]:
        """Path → coordinate in the units of the parameter's scale."""
        theta = self._lower + self._width * point
        return {p.path: float(t) for p, t in zip(self.parameters, theta, strict=True)}

    def values(self, point: Vector) -> dict[str, float]:
        """Path → the number that the component gets."""
        theta = self.theta(point)
        return {p.path: p.value(theta[p.path]) for p in self.parameters}

    def check(self, solver: Iterative) -> None:
        """Raise `InputError` unless every path leads to a number in `solver`."""
        for path in self.values(self.start):
            found = value_at(solver, path, "the solver")
            single = isinstance(found, Tensor) and found.numel() == 1 and not found.is_complex()
            if not single and (isinstance(found, bool) or not isinstance(found, int | float)):
                raise InputError(f"{path} is a {type(found).__name__}, not a number that could be learned")

    def parts(self, solver: Iterative, point: Vector) -> dict[str, Any]:
        """The parts of `solver` that hold parameters, built anew at `point`; the solver is not touched."""
        values = self.values(point)
        found = {}
        for part in _PARTS:
            own = {path.removeprefix(f"{part}."): v for path, v in values.items() if path.startswith(f"{part}.")}
            if own:
                found[part] = rebuilt(getattr(solver, part), own, part)
        return found
