"""What a trainer tells while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .manager import HookManager


class TrainingObserver:
    """Told of a training's progress; every method does nothing here. Trainers call it, never print."""

    def resumed(self, step: int, steps: int) -> None:
        """The training goes on from a checkpoint of step `step` of `steps`."""

    def interrupted(self) -> None:
        """The user has interrupted the training, which ends with a checkpoint after the present step."""

    def step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Step `step` of `steps` is done (counted from 1, and from where a resumed training goes on)."""

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """An epoch is done; `metrics` are those of the validation data, where there are any."""

    def checkpoint(self, path: Path, step: int) -> None:
        """A checkpoint was written."""


class HookObserver(TrainingObserver):
    """Hands everything on to the installed hooks."""

    def __init__(self, hooks: HookManager) -> None:
        self._hooks = hooks
        self._step = hooks.implements("on_train_step")

    def step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if self._step:
            self._hooks.call("on_train_step", step=step, steps=steps, metrics=metrics)

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self._hooks.call("on_epoch", epoch=epoch, metrics=metrics)

    def checkpoint(self, path: Path, step: int) -> None:
        self._hooks.call("on_checkpoint", path=path, step=step)
