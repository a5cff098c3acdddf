"""Denoising and deblurring of squares, small enough for tests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wellposed import (
    Dataset,
    Fidelity,
    Iteration,
    LinearOperator,
    Metric,
    Noise,
    Operator,
    Problem,
    Sample,
    Space,
    State,
)
from wellposed.dataset import generator_of
from wellposed.solver import DirectSolver
from wellposed.trainer import Fitted, Trainer


class Blur(LinearOperator):
    """Mean of three neighbouring columns, circular: y = k ∗ x."""

    source = "a test"

    def __init__(self, size: int = 24, gain: float = 1.0) -> None:
        super().__init__(Space((1, size, size)), Space((1, size, size)))
        self.gain = gain

    def _forward(self, x: Tensor) -> Tensor:
        return self.gain * (x.roll(1, -1) + x + x.roll(-1, -1)) / 3

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    def _norm(self) -> float:
        return self.gain


class Transform(LinearOperator):
    """The unitary Fourier transform of complex images: y = F x."""

    source = "a test"

    def __init__(self, size: int = 24) -> None:
        super().__init__(Space((1, size, size), torch.complex64), Space((1, size, size), torch.complex64))

    def _forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x, norm="ortho")

    def _adjoint(self, y: Tensor) -> Tensor:
        return torch.fft.ifft2(y, norm="ortho")

    def _norm(self) -> float:
        return 1.0


class Squares(Dataset):
    """A bright square on black, its place drawn by index and seed."""

    source = "a test"

    def __init__(self, size: int = 24, length: int = 8, seed: int = 0) -> None:
        self.size, self.length, self.seed = size, length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        row, column = torch.randint(2, self.size // 2, (2,), generator=generator_of(self.seed, index)).tolist()
        image = torch.zeros(1, self.size, self.size)
        image[:, row : row + self.size // 3, column : column + self.size // 3] = 1.0
        return Sample(f"square-{index}", image)


class Gaussian(Noise):
    """y = v + σ n."""

    source = "a test"

    def __init__(self, sigma: float = 0.05) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + self.sigma * torch.randn(v.shape, generator=generator, dtype=v.dtype)


class LeastSquares(Fidelity):
    """½‖v − y‖²."""

    source = "a test"

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (v - y).abs().square().flatten(1).sum(1)


@dataclass(frozen=True)
class Image(State):
    x: Tensor


class Descent(Iteration):
    """x ← x − s·A*(Ax − y); `pause` seconds are slept in each step."""

    source = "a test"

    def __init__(self, step: float = 1.0, pause: float = 0.0) -> None:
        super().__init__()
        self.length, self.pause = step, pause

    def init(self, problem: Problem, x: Tensor | None = None) -> Image:
        return Image(problem.zeros() if x is None else x)

    def step(self, problem: Problem, state: Image) -> Image:
        time.sleep(self.pause)
        return Image(state.x - self.length * problem.data_gradient(state.x))


class Adjoint(DirectSolver):
    """A* y."""

    source = "a test"

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        assert isinstance(operator, LinearOperator)
        return operator.adjoint(y)


class Rounded(DirectSolver):
    """A* y, rounded to tenths: a solver without derivative."""

    source = "a test"

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        assert isinstance(operator, LinearOperator)
        return (operator.adjoint(y.detach()) * 10).round() / 10


class Scaled(DirectSolver):
    """w · A* y with a learned number w."""

    source = "a test"

    def __init__(self, start: float = 0.1) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(start))

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        assert isinstance(operator, LinearOperator)
        return self.w * operator.adjoint(y)


class GradientTrainer(Trainer):
    """Plain gradient descent, one sample a step, a checkpoint after each."""

    source = "a test"

    def __init__(self, steps: int = 20, rate: float = 0.02, fail_at: int = 0) -> None:
        self.steps, self.rate, self.fail_at = steps, rate, fail_at

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: Any = None) -> Fitted:
        checkpoint, done = folder / "checkpoint.safetensors", 0
        if checkpoint.exists():
            saved = load_file(str(checkpoint))
            done = int(saved.pop("step"))
            target.load_state_dict(saved)
        loss = torch.zeros(())
        for step in range(done + 1, self.steps + 1):
            if step == self.fail_at and done == 0:
                raise KeyboardInterrupt
            sample = data[step % len(data)]
            assert sample.truth is not None
            assert sample.measurement is not None
            loss = (target(sample.measurement[None], sample.operator) - sample.truth).square().sum()
            target.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in target.parameters():
                    parameter -= self.rate / 10 * parameter.grad
            save_file({**target.state_dict(), "step": torch.tensor(step)}, str(checkpoint))
            if observer is not None:
                observer.step(step, self.steps, {"loss": loss.item()})
                observer.checkpoint(checkpoint, step)
        return Fitted(target, self.steps, {"loss": loss.item()})


class PSNR(Metric):
    """10 log₁₀(1/MSE), range 1."""

    source = "a test"
    unit = "dB"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return -10 * torch.log10((x - truth).abs().square().flatten(1).mean(1))


class MSE(Metric):
    """Mean squared error."""

    source = "a test"
    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return (x - truth).abs().square().flatten(1).mean(1)
