"""One run of a supervised training on accelerate, from its checkpoint to its last step."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.optim import Adam

from wellposed.dataset import Dataset
from wellposed.errors import InputError, SolveFailed
from wellposed.hooks import TrainingObserver
from wellposed.metric import Metric
from wellposed.solver import Solver

from ..seeding import seeded
from .batch import Batch, load_batches
from .checkpoint import Checkpoint
from .log import MetricsLog
from .settings import Settings

_PRECISION = {"full": "no", "bfloat16": "bf16", "float16": "fp16"}


class Session:
    """Owns what a training needs while it runs; a context manager, since accelerate keeps a process-wide state."""

    def __init__(
        self,
        settings: Settings,
        loss: Metric,
        metrics: Sequence[Metric],
        target: Solver,
        data: Dataset,
        folder: Path,
        observer: TrainingObserver,
    ) -> None:
        self.settings, self.metrics, self.target, self.data = settings, metrics, target, data
        self.folder, self.observer = folder, observer
        self.order = settings.order(len(data))
        self.log = MetricsLog(folder)
        self.latest: dict[str, float] = {}
        self._loss = loss

    def __enter__(self) -> Session:
        device = next(self.target.parameters()).device
        self.accelerator = Accelerator(
            cpu=device.type == "cpu",
            device_placement=False,  # the user chose the device; the target is on it already
            mixed_precision=_PRECISION[self.settings.precision],
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

    def _prepare(self, device: torch.device) -> None:
        several = self.accelerator.num_processes > 1
        self.device = self.accelerator.device if several else device
        if self.settings.batch % self.accelerator.num_processes:
            raise InputError(
                f"a batch of {self.settings.batch} cannot be shared among {self.accelerator.num_processes} processes; "
                f"make 'batch' a multiple of their number"
            )
        self.target.to(self.device)
        learned = [p for p in self.target.parameters() if p.requires_grad]
        optimizer = Adam(learned, lr=self.settings.learning_rate, betas=self.settings.betas)
        self.step = self._resume(optimizer)
        self.task, self.optimizer = self.accelerator.prepare(_Task(self.target, self._loss), optimizer)

    def _release(self) -> None:
        several = self.accelerator.num_processes > 1
        self.accelerator.free_memory()
        # A next training in this process may ask for another precision or device; the process group stays.
        AcceleratorState._reset_state(reset_partial_state=not several)

    def run(self) -> None:
        """Train from the step that was reached to the last one."""
        training = self.target.training
        try:
            self._steps()
        finally:
            self.target.train(training)

    def _steps(self) -> None:
        self.target.train()
        batches: list[Batch] = []
        for step in range(self.step, self.settings.steps):
            if not batches or step % self.settings.reuse == 0:
                batches = self._load(self.order.of_step(step))
            loss, length = self._step(step, batches)
            self._after(step + 1, loss, length)

    def _step(self, step: int, batches: list[Batch]) -> tuple[Tensor, Tensor]:
        """One update; returns this process's loss and the norm of the gradient before clipping."""
        rate = self.settings.learning_rate_of(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with seeded(self.settings.seed, step, self.accelerator.process_index, device=self.device):
            loss = self.task(batches)
            self.accelerator.backward(loss)
        length = self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach(), length

    def _clip(self) -> Tensor:
        limit = math.inf if self.settings.clip is None else self.settings.clip
        length = self.accelerator.clip_grad_norm_(self.target.parameters(), limit)
        assert isinstance(length, Tensor)
        return length

    def _after(self, done: int, loss: Tensor, length: Tensor) -> None:
        """What follows step number `done`: messages, validation, checkpoint; rare, since each waits for the device."""
        last = done == self.settings.steps
        if done % self.settings.log_every == 0 or last:
            self._tell(done, loss, length)
        if self.settings.validation and (done % self.settings.validate_every == 0 or last):
            self._validate(done)
        if done % self.settings.checkpoint_every == 0 or last:
            self._save(done)

    def _tell(self, done: int, loss: Tensor, length: Tensor) -> None:
        mean = self.accelerator.reduce(loss, "mean")
        assert isinstance(mean, Tensor)
        values = {
            "loss": float(mean),
            "gradient": float(length),
            "learning_rate": self.settings.learning_rate_of(done - 1),
        }
        self._check_finite(done, values["loss"])
        self.latest.update(values)
        if self.accelerator.is_main_process:
            self.log.write(done, values)
            self.observer.step(done, self.settings.steps, values)

    def _validate(self, done: int) -> None:
        """The metrics' means over the samples kept out, shared among the processes."""
        first = len(self.data) - self.settings.validation
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        totals = torch.zeros(len(self.metrics), dtype=torch.float64, device=self.device)
        self.target.eval()
        with torch.no_grad():
            for index in range(first + rank, len(self.data), world):
                for batch in load_batches(self.data, [index], self.device):
                    x = self.target(batch.measurement, batch.operator)
                    totals += torch.stack([m(x, batch.truth).sum().double() for m in self.metrics])
        self.target.train()
        total = self.accelerator.reduce(totals, "sum")
        assert isinstance(total, Tensor)
        means = (total / self.settings.validation).tolist()
        names = [f"validation {_words(m)}" for m in self.metrics]
        values = dict(zip(names, means, strict=True))
        self.latest.update(values)
        if self.accelerator.is_main_process:
            self.log.write(done, values)
            self.observer.epoch(done * self.settings.batch // self.order.samples, values)

    def _save(self, done: int) -> None:
        if not all(bool(torch.isfinite(p).all()) for p in self.target.parameters()):
            self._check_finite(done, math.nan)
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            found = Checkpoint.of(
                done,
                self.settings.document(),
                self.target,
                self.optimizer.optimizer,
                self.latest,
                {} if scaler is None else scaler.state_dict(),
            )
            self.observer.checkpoint(found.write(self.folder), done)
        self.accelerator.wait_for_everyone()

    def _resume(self, optimizer: Adam) -> int:
        """Go back to the checkpoint, if there is one; returns the number of steps done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = Checkpoint.read(self.folder) if self.accelerator.is_main_process else None
        self.accelerator.wait_for_everyone()  # the main process clears what a killed one left
        if not self.accelerator.is_main_process:
            found = Checkpoint.read(self.folder)
        if found is not None:
            self.settings.check_same(dict(found.settings))
            found.restore(self.target, optimizer)
            if self.accelerator.scaler is not None and found.scaler:
                self.accelerator.scaler.load_state_dict(dict(found.scaler))
            self.latest = dict(found.metrics)
        step = 0 if found is None else found.step
        if self.accelerator.is_main_process:
            self.log.begin(step)
        return step

    def _load(self, indices: list[int]) -> list[Batch]:
        share = indices[self.accelerator.process_index :: self.accelerator.num_processes]
        return load_batches(self.data, share, self.device)

    def _check_finite(self, done: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise SolveFailed(
                f"the training diverged by step {done}: loss or weights are no longer finite. Take a smaller "
                f"learning_rate or set clip; the last checkpoint is kept in {self.folder}"
            )


class _Task(nn.Module):
    """Batches to their mean loss: what accelerate wraps, so that one call stands for one step."""

    def __init__(self, target: Solver, loss: Metric) -> None:
        super().__init__()
        self.target, self.loss = target, loss

    def forward(self, batches: list[Batch]) -> Tensor:
        total: Any = 0.0
        for batch in batches:
            x = self.target(batch.measurement, batch.operator)
            total = total + self.loss(x.to(batch.truth.dtype), batch.truth).sum()
        return total / sum(len(batch.truth) for batch in batches)


def _words(metric: Metric) -> str:
    """A metric's class name as a recipe would write it: `MeanSquaredError` → `mean-squared-error`, `PSNR` → `psnr`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(metric).__name__).lower()
