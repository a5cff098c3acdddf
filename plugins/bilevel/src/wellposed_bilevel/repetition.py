"""Trainings repeated over draws of the data and over starts: medians and quartiles of what they found and cost.

A trust region in a narrow valley is a chaotic process: a start moved by a millionth may end a few percent away, so
one run says little of a method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .parameters import Parameter, ParameterSpace

#: How far starts are moved, as a part of each parameter's box.
MOVED = 0.01


@dataclass(frozen=True)
class Repetition:
    """Draw `draw` of the training data, from start `start`; start 0 is the recipe's own."""

    draw: int
    start: int

    def settings(self) -> list[str]:
        """What the draw changes in a recipe."""
        return [f"training.data.seed={self.draw}"]

    def space(self, space: ParameterSpace) -> ParameterSpace:
        """The space with its start moved by at most `MOVED` of the box, for each parameter at random."""
        if self.start == 0:
            return space
        generator = np.random.default_rng([self.start, self.draw])
        moves = generator.uniform(-MOVED, MOVED, space.dimension)
        return ParameterSpace([_moved(p, move) for p, move in zip(space.parameters, moves, strict=True)])


@dataclass(frozen=True)
class Outcome:
    """One training of a recipe: `excess`, the exact objective over the lowest of its draw, less 1.

    `work`: lower-level iterations to each of the levels asked for; infinite where a level was not reached.
    """

    recipe: str
    excess: float
    total: int
    work: tuple[float, ...]
    seconds: float


def repetitions(draws: int, starts: int) -> list[Repetition]:
    return [Repetition(draw, start) for draw in range(draws) for start in range(starts)]


def summary(outcomes: Sequence[Outcome], percents: Sequence[float]) -> str:
    """Median [lower, upper quartile] of each recipe as a Markdown table; what was not reached counts as infinite."""
    reached = "".join(f" to {p:g} %: reached | iterations |" for p in percents)
    head = f"| recipe | runs | exact f above the lowest | lower-level iterations |{reached} CPU s |"
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for recipe in dict.fromkeys(outcome.recipe for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.recipe == recipe]
        above = _quartiles([100 * o.excess for o in own], "{:.1f} %")
        cells = [recipe, str(len(own)), above, _numbers([o.total for o in own])]
        for index in range(len(percents)):
            work = [o.work[index] for o in own]
            cells += [f"{sum(np.isfinite(work))} of {len(work)}", _numbers(work)]
        cells.append(_quartiles([o.seconds for o in own], "{:.0f}"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _numbers(values: Sequence[float]) -> str:
    return _quartiles(values, "{:,.0f}")


def _quartiles(values: Sequence[float], form: str) -> str:
    """`median [25 %, 75 %]` by order statistics, so that infinite values are allowed."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    said = [form.format(v) if np.isfinite(v) else "–" for v in (middle, low, high)]
    return f"{said[0]} [{said[1]}, {said[2]}]"


def _moved(parameter: Parameter, move: float) -> Parameter:
    lower, upper = parameter.box
    start = min(max(parameter.start + move * (upper - lower), lower), upper)
    return replace(parameter, start=start)
