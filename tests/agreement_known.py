"""Iterations that do not get there in the steps that are allowed, or cannot: why, and how far they came.

Every entry is a statement that is checked: the verdict of such a solve must not be a success.
"""

from __future__ import annotations

from dataclasses import dataclass

from agreement import Outcome

GRADIENT = ("fista", "gradient-descent", "landweber", "proximal-gradient", "stochastic-gradient")
PRIMAL_DUAL = ("admm", "pdhg")


@dataclass(frozen=True)
class Known:
    """Solves by these iterations, of operators whose names hold `operator` (or any) and of this fidelity (or any).

    `reached` is the worst that was measured, rounded up: the distance, the excess of the objective where the minimiser
    is not unique, or the violation of a constraint.
    """

    iterations: tuple[str, ...]
    operator: str
    fidelity: str
    reached: float
    why: str

    def covers(self, outcome: Outcome) -> bool:
        named = outcome.iteration in self.iterations and self.operator in outcome.case.split(" | ")[0]
        reached = outcome.distance if outcome.distance == outcome.distance else outcome.excess
        return named and self.fidelity in (outcome.fidelity, "") and max(reached, outcome.violation) <= self.reached


KNOWN: tuple[Known, ...] = (
    Known(PRIMAL_DUAL, "dense", "l1", 5.0, "a linear programme, where the rate is that of its sharpness"),
    Known(PRIMAL_DUAL, "", "l1", 0.05, "a linear programme, where the rate is that of its sharpness"),
    Known(PRIMAL_DUAL, "dense", "kullback-leibler", 1.0, "without a regularizer: 5000 steps for a condition of 1e4"),
    *(
        Known(GRADIENT[1:], "", fidelity, 5.0, "O(1/k) in the objective where the data term is flat in some directions")
        for fidelity in ("l2", "weighted l2", "l2 weighted per sample")
    ),
)


def reason(outcome: Outcome) -> str | None:
    """Why this solve may be wrong; `None` where nothing excuses it."""
    return next((known.why for known in KNOWN if known.covers(outcome)), None)
