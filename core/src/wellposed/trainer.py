"""Trainers: fit whatever is learned, resumable at any step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from .dataset import Dataset
from .hooks import TrainingObserver
from .interface import Component


@dataclass(frozen=True)
class Fitted:
    """What a trainer leaves: the trained target, the number of steps done and its last metrics.

    `arguments` are constructor arguments that were learned, by their attribute path in the target
    (`regularizer.weight`): no part of the weights, they are written into the run's recipe.
    """

    target: nn.Module
    steps: int
    metrics: dict[str, float] = field(default_factory=dict)
    arguments: dict[str, float] = field(default_factory=dict)


class Trainer(Component):
    """`fit(target, data, folder)` trains the parameters of `target` and checkpoints into `folder`.

    `target` is whatever is trained: a solver, a regularizer, an operator's unknown parameters. A call
    with a folder that holds a checkpoint goes on from it and ends with the same numbers as a run that
    was never interrupted.
    """

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: TrainingObserver | None = None) -> Fitted:
        raise NotImplementedError
