"""Progress of long work: a bar with rate and time left on terminals, silence elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..hooks import HookManager, HookObserver, TrainingObserver
from .output import console, note

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from ..experiment import Experiment, Row
    from ..stopping import Progress

_REFRESH = 0.1


class RunProgress:
    """Observer of an experiment: shows how far it is, and tells the hooks of each iteration.

    One bar counts the reconstructions where there are several, one the iterations of the running one.
    `observer` is `None` where there is nobody to tell, so that the driver calls nothing.
    """

    def __init__(self, experiment: Experiment, hooks: HookManager, samples: int | None = None) -> None:
        self._experiment, self._hooks = experiment, hooks
        self._samples = experiment.count if samples is None else samples
        self._told = hooks.implements("on_iteration")
        self._bars = progress_bars()
        self._whole: Any = None
        self._task: Any = None
        self._current, self._next_update = ("", ""), 0.0

    def __enter__(self) -> RunProgress:
        total = self._samples * len(self._experiment.solvers)
        if total > 1:
            self._whole = self._bars.add_task("reconstructions", total=total, unit="images/s")
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    @property
    def observer(self) -> Any:
        return self._iterated if self._told or not self._bars.disable else None

    def finished(self, row: Row) -> None:
        """A reconstruction is done."""
        if self._whole is not None:
            self._bars.advance(self._whole)

    def _iterated(self, solver: str, sample: str, progress: Progress) -> None:
        if self._told:
            self._hooks.call("on_iteration", solver=solver, sample=sample, progress=progress)
        if self._bars.disable:
            return
        if (solver, sample) != self._current:
            self._begin(solver, sample)
        now = time.monotonic()
        if now >= self._next_update:
            self._next_update = now + _REFRESH
            self._bars.update(self._task, completed=progress.count)

    def _begin(self, solver: str, sample: str) -> None:
        self._current = (solver, sample)
        if self._task is not None:
            self._bars.remove_task(self._task)
        stop = getattr(self._experiment.solvers.get(solver), "stop", None)
        self._task = self._bars.add_task(
            f"{solver} · {sample}"[:40], total=getattr(stop, "iterations", None), unit="it/s"
        )


class TrainingProgress(TrainingObserver):
    """Observer of a training: shows steps and the latest metrics, and tells the hooks."""

    def __init__(self, hooks: HookManager) -> None:
        self._hooks = HookObserver(hooks)
        self._bars = progress_bars()
        self._task: Any = None
        #: The step of the latest checkpoint, where there is one.
        self.kept: int | None = None

    @property
    def visible(self) -> bool:
        """Whether a bar is shown."""
        return not self._bars.disable

    def __enter__(self) -> TrainingProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def resumed(self, step: int, steps: int) -> None:
        self.kept = step
        note(f"going on at step {step} of {steps}")

    def interrupted(self) -> None:
        note("interrupted: a checkpoint is written when the present step is done; once more ends at once")

    def step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        self._hooks.step(step, steps, metrics)
        if self._bars.disable:
            return
        if self._task is None:
            self._task = self._bars.add_task("training", total=steps, completed=step - 1, unit="steps/s")
        figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self._bars.update(self._task, completed=step, total=steps, description=f"training · {figures}"[:46])

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self._hooks.epoch(epoch, metrics)

    def checkpoint(self, path: Path, step: int) -> None:
        self.kept = step
        self._hooks.checkpoint(path, step)


def progress_bars() -> Bars:
    """Bars on stderr that vanish when done; off where stderr is no terminal. Tasks name the `unit` of their rate."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g} {task.fields['unit']}", style="dim")

    out = console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=out,
        transient=True,
        expand=True,
        disable=not out.is_terminal,
    )
