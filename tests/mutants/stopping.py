"""Mutants of stopping rules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wellposed.solution import Verdict
from wellposed.space import norm

from .changes import after, attributes, batch_centred, remembering, replaced, times
from .mutant import mutants

NAME = "name-means-what-it-says"


def _never(self: Any, problem: Any) -> float:
    return 0.0


def _grown(value: Any, count: int) -> Any:
    return value * (1 + count)


MUTANTS = mutants(
    "stopping",
    ("discrepancy", "squared", after("measure", torch.square), NAME),
    ("discrepancy", "root mean square", after("measure", lambda m: m / 20**0.5), NAME),
    ("discrepancy", "factor left out", replaced(level=lambda self, p: self.noise_norm), NAME),
    ("discrepancy", "level × 2", after("level", times(2.0)), NAME),
    ("discrepancy", "certified", attributes(verdict=Verdict.CERTIFIED), "verdict-is-earned"),
    ("relative-change", "certified", attributes(verdict=Verdict.CERTIFIED), "verdict-is-earned"),
    ("fixed-point-residual", "certified", attributes(verdict=Verdict.CERTIFIED), "verdict-is-earned"),
    ("relative-change", "ends as diverged", attributes(verdict=Verdict.DIVERGED), "verdict-is-earned"),
    *(
        (
            base,
            "the batch's maximum",
            after("measure", lambda m: m.max().expand_as(m).clone()),
            "treats-samples-independently",
        )
        for base in ("relative-change", "discrepancy", "certified-accuracy", "duality-gap")
    ),
    ("fixed-point-residual", "the batch's mean", after("measure", batch_centred), "treats-samples-independently"),
    ("relative-change", "absolute change", replaced(measure=lambda self, p: norm(p.x - p.x_previous)), NAME),
    (
        "relative-change",
        "relative to the one before",
        replaced(measure=lambda self, p: norm(p.x - p.x_previous) / norm(p.x_previous)),
        NAME,
    ),
    (
        "relative-change",
        "not a number where nothing changes",
        replaced(measure=lambda self, p: norm(p.x - p.x_previous) / norm(p.x)),
        "measures-a-fixed-point",
    ),
    (
        "fixed-point-residual",
        "of the accelerated step",
        replaced(measure=lambda self, p: norm(p.state.flatten() - p.previous.flatten()) / norm(p.state.flatten())),
        NAME,
    ),
    (
        "duality-gap",
        "not relative",
        replaced(measure=lambda self, p: p.iteration.duality_gap(p.problem, p.state)),
        NAME,
    ),
    ("duality-gap", "halved", after("measure", times(0.5)), NAME),
    ("certified-accuracy", "bound halved", after("measure", times(0.5)), f"{NAME} verdict-is-earned"),
    (
        "certified-accuracy",
        "from the residual",
        replaced(measure=lambda self, p: norm(p.problem.operator(p.x) - p.problem.measurement)),
        f"{NAME} verdict-is-earned",
    ),
    (
        "certified-accuracy",
        "from the change",
        replaced(measure=lambda self, p: norm(p.x - p.x_previous)),
        f"{NAME} verdict-is-earned",
    ),
    (
        "certified-accuracy",
        "take loses the levels",
        replaced(take=lambda self, index: self),
        "keeps-a-level-for-each-sample",
    ),
    (
        "certified-accuracy",
        "take keeps the first levels",
        replaced(
            take=lambda self, index: (
                type(self)(self.accuracy[: len(index)]) if isinstance(self.accuracy, Tensor) else self
            )
        ),
        "keeps-a-level-for-each-sample",
    ),
    (
        "certified-accuracy",
        "the loosest level for all",
        replaced(level=lambda self, p: float(torch.as_tensor(self.accuracy).max())),
        "keeps-a-level-for-each-sample",
    ),
    ("relative-change", "a hidden counter", remembering("measure", _grown), "measures-the-same-twice"),
    (
        "discrepancy",
        "a level that falls with each call",
        remembering("level", lambda v, n: v / (1 + n)),
        "measures-the-same-twice treats-samples-independently",
    ),
    ("relative-change", "a level that is never met", replaced(level=_never), f"stops-where-its-level-is-met {NAME}"),
    ("discrepancy", "negative", after("measure", times(-1.0)), "measures-one-number-per-sample"),
    ("relative-change", "one number", after("measure", lambda m: m.max()), "measures-one-number-per-sample"),
    (
        "discrepancy",
        "take measures twice as much",
        replaced(take=lambda self, index: type(self)(self.noise_norm * 2)),
        "treats-samples-independently",
    ),
)
