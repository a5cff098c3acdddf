"""Iterations that do not get there in the steps that are allowed, or cannot: why, and how far they came.

Every entry is a statement that is checked: the verdict of such a solve must not be a success.
"""

from __future__ import annotations

from dataclasses import dataclass

from agreement import Outcome


@dataclass(frozen=True)
class Known:
    """Solves of these iterations on cases whose names hold all of `words`, `reached` at worst (distance or excess)."""

    iterations: tuple[str, ...]
    words: tuple[str, ...]
    reached: float
    why: str


KNOWN: tuple[Known, ...] = ()


def reason(outcome: Outcome) -> str | None:
    """Why this solve may be wrong; `None` where nothing excuses it."""
    reached = outcome.distance if outcome.distance == outcome.distance else outcome.excess
    for known in KNOWN:
        named = outcome.iteration in known.iterations and all(word in outcome.case for word in known.words)
        if named and max(reached, outcome.violation) <= known.reached:
            return known.why
    return None
