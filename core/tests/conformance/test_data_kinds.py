"""Fidelities, noise, patterns, metrics, datasets: right ones pass, wrong ones are caught by their check."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed.dataset import Sample
from wellposed.fidelity import Fidelity
from wellposed.metric import Metric
from wellposed.noise import Noise, NoNoise
from wellposed.pattern import Pattern
from wellposed.testing.doubles import Bumps, PeriodicBlur, QuadraticFidelity


class Additive(Noise):
    """Normal noise of standard deviation 0.1."""

    source = "test"
    known_scale = False

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + 0.1 * torch.randn(v.shape, generator=generator, dtype=v.dtype)

    def fidelity(self) -> Fidelity:
        return QuadraticFidelity()


class Stripes(Pattern):
    """Every second row."""

    source = "test"

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        mask = torch.zeros(shape)
        mask[::2] = 1
        return mask


class MeanSquare(Metric):
    """The mean squared error of each image."""

    source = "test"
    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return (x - truth).square().flatten(1).mean(1)


class NoStep(QuadraticFidelity):
    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        return (v + y) / 2


class NegativeValue(QuadraticFidelity):
    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return super().forward(v, y) - 1000.0


class HalfGradient(QuadraticFidelity):
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return 0.5 * super().gradient(v, y)


class WrongConjugate(QuadraticFidelity):
    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        return super().conjugate(p, -y)


class TooSmooth(QuadraticFidelity):
    def smoothness(self, y: Tensor) -> float:
        return 0.5


class MovesMeasurement(QuadraticFidelity):
    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return y.neg_().add(v)


class GlobalNoise(Additive):
    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + 0.1 * torch.randn_like(v)


class SameForAll(Additive):
    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return v + 0.1 * torch.randn(v.shape[1:], generator=generator, dtype=v.dtype)


class Biased(Additive):
    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        return super().forward(v, generator) + 0.03


class RandomStripes(Stripes):
    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape)


class KeptStripes(Stripes):
    def __init__(self) -> None:
        self.kept = torch.ones(16, 16)

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return self.kept


class UpsideDown(MeanSquare):
    better = "higher"


class BatchMean(MeanSquare):
    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return super().__call__(x, truth).mean().expand(len(x))


class Shuffled(Bumps):
    """Every reading counts."""

    def __getitem__(self, index: int) -> Sample:
        self.seed += 1
        return super().__getitem__(index)


class GlobalSeed(Bumps):
    def __getitem__(self, index: int) -> Sample:
        torch.manual_seed(self.check_index(index))
        return Sample("noise", torch.rand(1, 8, 8))


class Endless(Bumps):
    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index % self.count)


class SharedImage(Bumps):
    def __init__(self) -> None:
        super().__init__()
        self.kept = [super(SharedImage, self).__getitem__(i) for i in range(4)]

    def __getitem__(self, index: int) -> Sample:
        return self.kept[self.check_index(index)]


class Holes(Bumps):
    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        assert sample.truth is not None
        sample.truth[0, 0, 0] = float("nan")
        return sample


_RIGHT = [
    ("fidelities", QuadraticFidelity),
    ("noise", Additive),
    ("noise", NoNoise),
    ("patterns", Stripes),
    ("metrics", MeanSquare),
    ("datasets", Bumps),
    ("operators", PeriodicBlur),
]

_WRONG = [
    ("fidelities", NoStep, "prox-minimises-its-objective"),
    ("fidelities", NegativeValue, "value-is-nonnegative"),
    ("fidelities", HalfGradient, "gradient-is-right"),
    ("fidelities", WrongConjugate, "conjugate-satisfies-fenchel"),
    ("fidelities", TooSmooth, "claimed-constants-hold"),
    ("fidelities", MovesMeasurement, "leaves-inputs-unchanged"),
    ("noise", GlobalNoise, "draws-from-its-generator-alone"),
    ("noise", SameForAll, "samples-are-independent"),
    ("noise", Biased, "fidelity-is-its-likelihood"),
    ("patterns", RandomStripes, "is-repeatable"),
    ("patterns", KeptStripes, "gives-its-own-tensor"),
    ("metrics", UpsideDown, "says-what-is-better"),
    ("metrics", BatchMean, "is-pure-and-samplewise"),
    ("datasets", Shuffled, "samples-depend-on-their-index-alone"),
    ("datasets", GlobalSeed, "samples-depend-on-their-index-alone"),
    ("datasets", Endless, "counts-like-a-sequence"),
    ("datasets", SharedImage, "samples-are-their-own"),
    ("datasets", Holes, "holds-samples"),
]


@pytest.mark.parametrize(("kind", "cls"), _RIGHT, ids=lambda value: getattr(value, "__name__", value))
def test_right_component_passes(kind: str, cls: type, failures) -> None:
    assert failures(kind, cls) == {}


@pytest.mark.parametrize(("kind", "cls", "check"), _WRONG, ids=lambda value: getattr(value, "__name__", value))
def test_wrong_component_is_caught(kind: str, cls: type, check: str, failures) -> None:
    assert check in failures(kind, cls)
