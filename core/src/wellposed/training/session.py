"""One run of a training on accelerate, from its checkpoint to its last step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.optim import Adam

from ..dataset import Dataset
from ..errors import InputError, SolveFailed
from ..files.atomic import clear_parts
from ..hooks import TrainingObserver
from ..seeding import seeded
from .batch import Part
from .checkpoint import Checkpoint
from .course import Course, L
from .interruption import Interruption
from .log import MetricsLog
from .pace import Pace
from .placed import Placed
from .split import split

_PRECISION = {"full": "no", "bfloat16": "bf16", "float16": "fp16"}
#: So many steps in a row without a finite gradient end a training; float16 finds its scale in fewer.
_MOST_SKIPPED = 20
#: Beside a training's seed: what a validation draws, the same at every time.
_VALIDATION = 1 << 40


class Session(Generic[L]):
    """Owns what a training needs while it runs; a context manager, since accelerate keeps a process-wide state.

    What a step does depends on the seed, its number and the weights alone, so that a training that goes on from
    its checkpoint ends with the same numbers as one that was never interrupted, bit for bit on a CPU.
    """

    def __init__(
        self, pace: Pace, course: Course[L], data: Dataset, folder: Path, observer: TrainingObserver | None = None
    ) -> None:
        self.pace, self.course, self.target = pace, course, course.target
        self.data: Dataset = data
        self.folder, self.observer = folder, observer or TrainingObserver()
        self.training, self.kept_out = split(data, pace.validation)
        self.order = pace.order(len(self.training) + pace.validation)
        self.log = MetricsLog(folder)
        self.latest: dict[str, float] = {}
        #: Steps that were not taken since their gradient was not finite: of all, and in a row up to now.
        self.skipped, self.in_a_row = 0, 0

    def __enter__(self) -> Session[L]:
        device = next(self.target.parameters()).device
        self.groups = self.course.groups()
        # A group that does not learn at a step has no gradient there.
        distributed = DistributedDataParallelKwargs(find_unused_parameters=len(self.groups) > 1)
        self.accelerator = Accelerator(
            cpu=device.type == "cpu",
            device_placement=False,  # the user chose the device; the target is on it already
            mixed_precision=_PRECISION[self.pace.precision],
            kwargs_handlers=[distributed],
        )
        try:
            self._prepare(device)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def run(self) -> None:
        """Train from the step that was reached to the last one.

        SIGINT and SIGTERM write a checkpoint at the end of the present step, and then do what they always do.
        """
        training = self.target.training
        learned = [p.requires_grad for p in self.target.parameters()]
        try:
            told = self.observer.interrupted if self.accelerator.is_main_process else _say_nothing
            with Interruption(told, self.accelerator.num_processes > 1) as interruption:
                self._steps(interruption)
        finally:
            self.target.train(training)
            for p, learns in zip(self.target.parameters(), learned, strict=True):
                p.requires_grad_(learns)

    # One step ---------------------------------------------------------------------------------------

    def _steps(self, interruption: Interruption) -> None:
        self.target.train()
        loaded: L | None = None
        for step in range(self.step, self.pace.steps):
            if loaded is None or step % self.pace.reuse == 0:
                loaded = self._load([self.training[place] for place in self.order.of_step(step)])
            losses, length = self._step(step, loaded)
            saved = self._after(step + 1, losses, length)
            number = self._agreed(interruption.number or 0)
            if number:
                if not saved:
                    self._save(step + 1)
                interruption.act(number)

    def _agreed(self, number: int) -> int:
        """The signal that any of the processes has got: they end at the same step."""
        if self.accelerator.num_processes == 1:
            return number
        found = self._reduced(torch.nn.functional.one_hot(torch.tensor(number, device=self.device), 65), "sum")
        return int(found[1:].nonzero()[0]) + 1 if bool(found[1:].any()) else 0

    def _step(self, step: int, loaded: L) -> tuple[dict[str, Tensor], Tensor]:
        """One update; returns this process's losses and the norm of the gradient before clipping."""
        for group, rate in zip(self.optimizer.param_groups, self.course.rates(step), strict=True):
            group["lr"] = rate
            for p in group["params"]:
                p.requires_grad_(rate > 0)  # what does not learn costs no backward pass
        with seeded(self.pace.seed, step, self.accelerator.process_index, device=self.device):
            losses = self.task(loaded, step)
            self.accelerator.backward(losses["loss"])
        length = self._clip()
        self._update(step, bool(torch.isfinite(length)))
        self.optimizer.zero_grad()
        return {name: value.detach() for name, value in losses.items()}, length

    def _update(self, step: int, finite: bool) -> None:
        """Take the step, unless its gradient is not finite: one bad batch must not end a training, many do.

        Raises `SolveFailed` after `_MOST_SKIPPED` of them in a row, or where no step of all could be taken.
        """
        if finite or self.accelerator.scaler is not None:  # float16: the scaler leaves them out, and scales down
            self.optimizer.step()
        self.in_a_row = 0 if finite else self.in_a_row + 1
        self.skipped += not finite
        if self.in_a_row >= min(_MOST_SKIPPED, self.pace.steps):
            raise SolveFailed(
                f"the training diverged by step {step + 1}: the gradients of {self.in_a_row} steps in a row were not "
                f"finite. Take a smaller learning rate, or look for samples that are not finite; the last checkpoint "
                f"is kept in {self.folder}"
            )

    def _clip(self) -> Tensor:
        limit = math.inf if self.pace.clip is None else self.pace.clip
        length = self.accelerator.clip_grad_norm_(self.target.parameters(), limit)
        assert isinstance(length, Tensor)
        return length

    def _load(self, indices: Sequence[int]) -> L:
        share = indices[self.accelerator.process_index :: self.accelerator.num_processes]
        return self.course.load(self.data, share, self.device)

    # What follows a step ------------------------------------------------------------------------------

    def _after(self, done: int, losses: dict[str, Tensor], length: Tensor) -> bool:
        """Messages, validation, checkpoint; rare, since each waits for the device. Whether a checkpoint was written."""
        last = done == self.pace.steps
        if done % self.pace.log_every == 0 or last:
            self._tell(done, losses, length)
        if self.pace.validation and self.course.measures and (done % self.pace.validate_every == 0 or last):
            self._validate(done)
        due = done % self.pace.checkpoint_every == 0 or last
        if due:
            self._save(done)
        return due

    def _tell(self, done: int, losses: dict[str, Tensor], length: Tensor) -> None:
        values = {name: float(self._reduced(value, "mean")) for name, value in losses.items()}
        values |= {"gradient": float(length), "learning_rate": max(self.course.rates(done - 1))}
        if self.skipped:
            values["skipped"] = self.skipped
        if math.isfinite(values["gradient"]):  # else the step was left out
            self._check_finite(done, values["loss"])
        self.latest.update(values)
        if self.accelerator.is_main_process:
            self.log.write(done, values)
            self.observer.step(done, self.pace.steps, values)

    def _validate(self, done: int) -> None:
        """The measures' means over the samples kept out, shared among the processes."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        totals = torch.zeros(len(self.course.measures), dtype=torch.float64, device=self.device)
        self.target.eval()
        with torch.no_grad(), seeded(self.pace.seed, _VALIDATION, rank, device=self.device):
            for index in self.kept_out[rank::world]:
                loaded = self.course.load(self.data, [index], self.device)
                totals += self.course.measure(loaded, done - 1).double()
        self.target.train()
        means = (self._reduced(totals, "sum") / self.pace.validation).tolist()
        values = {f"validation {name}": mean for name, mean in zip(self.course.measures, means, strict=True)}
        self.latest.update(values)
        if self.accelerator.is_main_process:
            self.log.write(done, values)
            self.observer.epoch(done * self.pace.batch // self.order.samples, values)

    def _save(self, done: int) -> None:
        if not all(bool(torch.isfinite(p).all()) for p in self.target.parameters()):
            self._check_finite(done, math.nan)
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            found = Checkpoint.of(
                done,
                self._settings(),
                self.target,
                self.optimizer.optimizer,
                self.latest,
                {} if scaler is None else scaler.state_dict(),
            )
            self.observer.checkpoint(found.write(self.folder), done)
        self.accelerator.wait_for_everyone()

    # Beginning and end --------------------------------------------------------------------------------

    def _prepare(self, device: torch.device) -> None:
        world = self.accelerator.num_processes
        self.device = self.accelerator.device if world > 1 else device
        if self.pace.batch % world:
            raise InputError(
                f"a batch of {self.pace.batch} cannot be shared among {world} processes; make 'batch' a multiple of "
                f"their number"
            )
        self.target.to(self.device)
        self.data = Placed(self.data, self.device)
        optimizer = Adam([{"params": group} for group in self.groups], betas=self.course.betas)
        self.step = self._resume(optimizer)
        if self.step == 0:
            self.course.prepare(Part(self.data, self.training))
        self.task, self.optimizer = self.accelerator.prepare(_Task(self.course), optimizer)

    def _resume(self, optimizer: Adam) -> int:
        """Go back to the checkpoint, if there is one; returns the number of steps done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.accelerator.is_main_process:
            clear_parts(self.folder)
        self.accelerator.wait_for_everyone()  # what the main process writes from here on is no killed one's
        found = Checkpoint.read(self.folder)
        if found is not None:
            self._check_same(found.settings)
            found.restore(self.target, optimizer)
            if self.accelerator.scaler is not None and found.scaler:
                self.accelerator.scaler.load_state_dict(dict(found.scaler))
            self.latest = dict(found.metrics)
            self.skipped = int(self.latest.get("skipped", 0))
        step = 0 if found is None else found.step
        if self.accelerator.is_main_process:
            self.log.begin(step)
            if step:
                self.observer.resumed(step, self.pace.steps)
        return step

    def _settings(self) -> dict[str, Any]:
        return {**self.pace.document(), **self.course.settings}

    def _check_same(self, begun: Any) -> None:
        """Refuse to go on with other settings than the training was begun with."""
        own = self._settings()
        other = next((k for k in own if begun.get(k, own[k]) != own[k]), None)
        if other is not None:
            raise InputError(
                f"the checkpoint was made with {other} = {begun.get(other)}, asked for is {own[other]}; train into "
                f"another folder, or remove the checkpoint to train anew"
            )

    def _release(self) -> None:
        several = self.accelerator.num_processes > 1
        self.accelerator.free_memory()
        # A next training in this process may ask for another precision or device; the process group stays.
        AcceleratorState._reset_state(reset_partial_state=not several)

    def _reduced(self, value: Tensor, how: str) -> Tensor:
        found = self.accelerator.reduce(value, how)
        assert isinstance(found, Tensor)
        return found

    def _check_finite(self, done: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise SolveFailed(
                f"the training diverged by step {done}: loss or weights are no longer finite. Take a smaller "
                f"learning rate or set clip; the last checkpoint is kept in {self.folder}"
            )


def _say_nothing() -> None:
    """In the other processes."""


class _Task(nn.Module, Generic[L]):
    """Samples to losses: what accelerate wraps, so that one call stands for one step."""

    def __init__(self, course: Course[L]) -> None:
        super().__init__()
        self.target, self.course = course.target, course

    def forward(self, loaded: L, step: int) -> dict[str, Tensor]:
        return self.course.loss(loaded, step)
