"""A training session: modes of the network, what is measured when, clipping, divergence, what is put back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wellposed.dataset import Dataset
from wellposed.errors import InputError, SolveFailed
from wellposed.hooks import TrainingObserver
from wellposed.testing.doubles import Bumps
from wellposed.training import Checkpoint, Course, Pace
from wellposed.training.checkpoint import NAME

session_module = pytest.importorskip("wellposed.training.session", reason="accelerate is not installed")
START = 3.0
STILL = 1e-12  # a learning rate that moves no number of single precision


class Line(Course[Tensor]):
    """Brings `w` to zero by `loss = size·|w|`, in two groups; remembers the mode of the network at every call."""

    def __init__(self, size: float = 1.0, rate: float = STILL) -> None:
        self.target = nn.ParameterDict({"w": torch.full((), START), "v": torch.zeros(2)})
        self.settings, self.measures, self.size, self.rate = {}, ["distance", "index"], size, rate
        self.modes: list[tuple[str, bool, bool]] = []
        self.loaded: list[list[int]] = []

    def groups(self) -> list[list[nn.Parameter]]:
        return [[self.target["w"]], [self.target["v"]]]

    def rates(self, step: int) -> list[float]:
        return [self.rate, self.rate / 2]

    def load(self, data: Dataset, indices: Sequence[int], device: torch.device) -> Tensor:
        self.loaded.append(list(indices))
        return torch.tensor([float(i) for i in indices])

    def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
        self.modes.append(("loss", self.target.training, torch.is_grad_enabled()))
        return {"loss": self.size * self.target["w"].abs() + 0 * self.target["v"].sum()}

    def measure(self, loaded: Tensor, step: int) -> Tensor:
        self.modes.append(("measure", self.target.training, torch.is_grad_enabled()))
        return torch.stack([self.target["w"].abs() + torch.rand(()), loaded[0]])


class Notes(TrainingObserver):
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.epochs: list[tuple[int, dict[str, float]]] = []
        self.checkpoints: list[tuple[str, int]] = []

    def step(self, step: int, steps: int, metrics: Any) -> None:
        self.steps.append(step)

    def epoch(self, epoch: int, metrics: Any) -> None:
        self.epochs.append((epoch, dict(metrics)))

    def checkpoint(self, path: Path, step: int) -> None:
        self.checkpoints.append((path.name, step))


def run(course: Line, folder: Path, observer: TrainingObserver | None = None, **changes: Any):
    numbers = {"steps": 6, "batch": 2, "log_every": 100, "checkpoint_every": 100, "validate_every": 100, **changes}
    with session_module.Session(Pace(**numbers), course, Bumps(count=7), folder, observer) as running:
        running.run()
    return running


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("training", [True, False])
def test_steps_are_in_training_mode_and_validation_is_not(tmp_path: Path, training: bool) -> None:
    course = Line()
    course.target.train(training)
    run(course, tmp_path, validation=3, validate_every=2)
    kinds = "".join(kind[0] for kind, *_ in course.modes)
    assert kinds == "llmmm" * 3
    assert all(mode == (kind == "loss") and grad == mode for kind, mode, grad in course.modes)
    assert course.target.training is training


def test_validation_is_the_mean_over_the_samples_kept_out_with_the_same_draws_each_time(tmp_path: Path) -> None:
    course, notes = Line(), Notes()
    running = run(course, tmp_path, notes, validation=3, validate_every=2)
    assert [i for i in course.loaded if len(i) == 1] == [[4], [5], [6]] * 3
    assert {i for batch in course.loaded if len(batch) == 2 for i in batch} == {0, 1, 2, 3}
    found = [values for _, values in notes.epochs]
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert found[0]["validation index"] == 5.0
    assert START < found[0]["validation distance"] < START + 1
    assert [epoch for epoch, _ in notes.epochs] == [1, 2, 3]  # two steps of two samples are the four there are
    assert running.latest["validation index"] == 5.0
    assert [line["step"] for line in logged(tmp_path) if "validation index" in line] == [2, 4, 6]


def test_the_last_step_is_logged_validated_and_kept_whatever_the_rhythm(tmp_path: Path) -> None:
    course, notes = Line(), Notes()
    run(course, tmp_path, notes, steps=5, validation=1, log_every=2, validate_every=3, checkpoint_every=4)
    assert notes.steps == [2, 4, 5]
    assert notes.checkpoints == [(NAME, 4), (NAME, 5)]
    assert [line["step"] for line in logged(tmp_path) if "validation index" in line] == [3, 5]
    found = Checkpoint.read(tmp_path)
    assert found is not None
    assert found.step == 5


def test_without_measures_or_samples_nothing_is_validated(tmp_path: Path) -> None:
    course = Line()
    run(course, tmp_path / "none", validation=0, validate_every=1)
    course.measures = []
    run(course, tmp_path / "silent", validation=2, validate_every=1)
    assert all(kind == "loss" for kind, *_ in course.modes)


@pytest.mark.parametrize(("clip", "moved"), [(None, 40.0), (1.0, 40.0)])
def test_the_logged_gradient_is_that_before_clipping(tmp_path: Path, clip: float | None, moved: float) -> None:
    course = Line(size=40.0)
    run(course, tmp_path, clip=clip, log_every=1, steps=2)
    assert [line["gradient"] for line in logged(tmp_path)] == [moved, moved]
    assert [line["loss"] for line in logged(tmp_path)] == [40 * START] * 2


def test_clipping_is_of_the_whole_gradient(tmp_path: Path) -> None:
    """Adam's first moment is a tenth of the gradient that it was given."""
    moments = []
    for clip in (None, 5.0):
        folder = tmp_path / str(clip)
        run(Line(size=40.0), folder, clip=clip, steps=1)
        found = Checkpoint.read(folder)
        assert found is not None
        moments.append(float(found.tensors["optimizer.0.exp_avg"]))
    assert moments == [pytest.approx(4.0, rel=1e-5), pytest.approx(0.5, rel=1e-4)]


def test_the_larger_learning_rate_is_logged_and_what_does_not_learn_is_left(tmp_path: Path) -> None:
    course = Line(rate=0.5)
    course.target["v"].requires_grad_(False)
    run(course, tmp_path, steps=2, log_every=1)
    assert [line["learning_rate"] for line in logged(tmp_path)] == [0.5, 0.5]
    assert float(course.target["w"].detach()) == pytest.approx(START - 1.0, abs=1e-3)  # Adam: the rate at each step
    assert not course.target["v"].requires_grad
    assert course.target["w"].requires_grad


@pytest.mark.parametrize("where", ["loss", "one weight"])
def test_divergence_is_told_and_the_last_checkpoint_stays(tmp_path: Path, where: str) -> None:
    class Breaking(Line):
        def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
            if step == 3 and where == "one weight":
                with torch.no_grad():
                    self.target["v"][1] = math.inf
                return {"loss": self.target["w"].abs()}
            return {"loss": self.target["w"].abs() * (math.nan if step == 3 and where == "loss" else 1.0)}

    with pytest.raises(SolveFailed, match=r"training diverged by step 4: .*smaller learning rate or set clip"):
        run(Breaking(), tmp_path, checkpoint_every=2, log_every=1)
    found = Checkpoint.read(tmp_path)
    assert found is not None
    assert found.step == 2


def test_a_reused_batch_is_loaded_once(tmp_path: Path) -> None:
    course = Line()
    run(course, tmp_path, reuse=3)
    assert len(course.loaded) == 2


def test_what_a_checkpoint_was_made_with_is_compared(tmp_path: Path) -> None:
    run(Line(), tmp_path, steps=3)
    with pytest.raises(InputError, match=r"made with batch = 2, asked for is 3; .*remove the checkpoint"):
        run(Line(), tmp_path, steps=3, batch=3)
