"""A small training problem for the tests, also run as a program: `toy.py FOLDER [KILL] [plain]`.

`plain` takes a target that draws no random numbers. `KILL` is `step-N` (the process kills itself when it logs
step N) or `write-N` (while it writes the checkpoint of step N, before that is in place).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from wellposed.dataset import Dataset, Simulated
from wellposed.hooks import TrainingObserver
from wellposed.network import Network
from wellposed.noise import Noise
from wellposed.operator import LinearOperator
from wellposed.space import Space
from wellposed.testing.doubles import Bumps
from wellposed.training import checkpoint
from wellposed_supervised.metrics.mean_squared_error import MeanSquaredError
from wellposed_supervised.solvers.learned_primal_dual import LearnedPrimalDual
from wellposed_supervised.solvers.post_processing import PostProcessing
from wellposed_supervised.trainers.supervised import Supervised


class Blur(LinearOperator):
    """A moving average along the rows, `½ x + ¼ (left + right)`, periodic: self-adjoint, of norm 1."""

    def __init__(self, size: int = 8) -> None:
        super().__init__(Space((1, size, size)), Space((1, size, size)))

    def _forward(self, x: Tensor) -> Tensor:
        return 0.5 * x + 0.25 * (x.roll(1, -1) + x.roll(-1, -1))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    def _pinv(self, y: Tensor) -> Tensor:
        return y


class LittleNoise(Noise):
    """White noise of a hundredth."""

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + 0.01 * torch.randn(v.shape, generator=generator, dtype=v.dtype)


class Dropping(Network):
    """Two convolutions with dropout between them, so that training draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.net = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Dropout(0.2), nn.Conv2d(4, 1, 3, padding=1)
            )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


def data(count: int = 10) -> Dataset:
    return Simulated(Bumps(count=count), Blur(), LittleNoise(), seed=5)


def solver() -> PostProcessing:
    return PostProcessing(Dropping())


def trainer(**changes: object) -> Supervised:
    settings: dict = {
        "steps": 12,
        "batch": 4,
        "reuse": 2,
        "learning_rate": 1e-2,
        "clip": 1.0,
        "validation": 2,
        "metrics": [MeanSquaredError()],
        "validate_every": 5,
        "checkpoint_every": 4,
        "log_every": 1,
    }
    return Supervised(**{**settings, **changes})


class Killing(TrainingObserver):
    """Kills its own process when step `step` is logged: nothing is cleaned up, as by a power cut."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, kill: str = "step-0", target: str = "dropping") -> None:
    place, _, number = kill.partition("-")
    if place == "write":
        real, left = os.replace, int(number) // 4

        def replace(source: str, target: Path) -> None:
            nonlocal left
            left -= Path(target).name == checkpoint.NAME
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, target)

        os.replace = replace  # type: ignore[assignment]
    learned = LearnedPrimalDual(steps=2, width=4) if target == "plain" else solver()
    trainer().fit(learned, data(), folder, Killing(int(number) if place == "step" else 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
