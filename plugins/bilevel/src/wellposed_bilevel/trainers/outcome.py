"""How every bilevel training ends: the parameters installed, and written down."""

from __future__ import annotations

import json
import logging

from wellposed.files.atomic import write_text
from wellposed.trainer import Fitted

from ..evaluation import Evaluation
from ..evaluator import Evaluator
from ..upper_level import UpperLevel

log = logging.getLogger(__name__)


def finish(problem: UpperLevel, evaluator: Evaluator, best: Evaluation, ending: str) -> Fitted:
    """Install the parameters that were found, and write them down."""
    problem.install(best.point)
    space = problem.space
    found = {
        "values": space.values(best.point),
        "theta": space.theta(best.point),
        "objective": best.value,
        "error": best.error if best.error < float("inf") else None,
        "evaluations": evaluator.count,
        "work": evaluator.work,
        "missed_accuracy": evaluator.missed,
        "ending": ending,
    }
    if evaluator.missed:
        log.warning(
            "%d of %d evaluations missed the lower-level accuracy that was asked for; raise the solver's iteration "
            "limit, use double precision, or penalise the condition number",
            evaluator.missed,
            evaluator.count,
        )
    path = evaluator.transcript.folder / "parameters.json"
    write_text(path, json.dumps(found, indent=2) + "\n")
    metrics = {"objective": best.value, "error": best.error, "work": float(evaluator.work), **found["values"]}
    return Fitted(problem.solver, evaluator.count, metrics, dict(found["values"]))
