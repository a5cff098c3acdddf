"""A training session: modes of the network, what is measured when, clipping, divergence, what is put back."""

from __future__ import annotations

import json
import math
import signal
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
from wellposed.training.interruption import Interruption

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


def test_what_a_killed_process_left_half_written_is_cleared(tmp_path: Path) -> None:
    part = tmp_path / f".{NAME}.123.part"
    part.write_bytes(b"half")
    run(Line(), tmp_path, steps=2)
    assert not part.exists()


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


def test_divergence_is_told_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    class Breaking(Line):
        def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
            if step == 3:
                with torch.no_grad():
                    self.target["v"][1] = math.inf
            return {"loss": self.target["w"].abs()}

    with pytest.raises(SolveFailed, match=r"training diverged by step 4: .*smaller learning rate or set clip"):
        run(Breaking(), tmp_path, checkpoint_every=2, log_every=1)
    found = Checkpoint.read(tmp_path)
    assert found is not None
    assert found.step == 2


class Broken(Line):
    """Its loss is not a number at the steps `at`, counted from 0."""

    def __init__(self, at: Sequence[int]) -> None:
        super().__init__(rate=0.1)
        self.at = at

    def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
        return {"loss": self.target["w"].square() * (math.nan if step in self.at else 1.0)}


def test_a_step_without_a_finite_gradient_is_left_out_and_counted(tmp_path: Path) -> None:
    broken, whole = Broken([1, 3]), Broken([])
    running = run(broken, tmp_path / "broken", steps=6, log_every=1)
    run(whole, tmp_path / "whole", steps=4)
    assert float(broken.target["w"].detach()) == float(whole.target["w"].detach())
    assert running.latest["skipped"] == 2
    lines = logged(tmp_path / "broken")
    assert [line.get("skipped") for line in lines] == [None, 1, 1, 2, 2, 2]
    assert [line["loss"] is None for line in lines] == [False, True, False, True, False, False]


def test_many_in_a_row_end_the_training_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SolveFailed, match=r"diverged by step 23: the gradients of 20 steps in a row were not finite\."):
        run(Broken(range(3, 60)), tmp_path / "many", steps=60, checkpoint_every=2)
    found = Checkpoint.read(tmp_path / "many")
    assert found is not None
    assert all(bool(torch.isfinite(value).all()) for value in found.tensors.values())
    with pytest.raises(SolveFailed, match=r"diverged by step 4: the gradients of 4 steps in a row"):
        run(Broken(range(9)), tmp_path / "all", steps=4)


class Cuts(Dataset):
    """Seven images, of each as many samples as `repeats`: sample i is of image i mod 7."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats

    def __len__(self) -> int:
        return 7 * self.repeats

    def origin(self, index: int) -> int:
        return index % 7

    def __getitem__(self, index: int) -> Any:
        return Bumps(count=7)[index % 7]


@pytest.mark.parametrize(("repeats", "kept", "images"), [(1, 2, {5, 6}), (4, 4, {6}), (4, 5, {5, 6})])
def test_no_image_is_learned_from_and_measured(tmp_path: Path, repeats: int, kept: int, images: set[int]) -> None:
    course, pace = Line(), Pace(steps=40, batch=2, validation=kept, validate_every=40)
    with session_module.Session(pace, course, Cuts(repeats), tmp_path) as running:
        running.run()
    learned = {i for batch in course.loaded if len(batch) == 2 for i in batch}
    measured = [i for batch in course.loaded if len(batch) == 1 for i in batch]
    assert {i % 7 for i in measured} == images
    assert {i % 7 for i in learned} == set(range(7)) - images
    assert len(measured) == kept
    with pytest.raises(InputError, match=r"28 samples of 7 images, and 25 samples .* no image is left"):
        session_module.Session(Pace(1, validation=25), course, Cuts(4), tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_a_checkpoint_of_the_step_it_came_in(tmp_path: Path, number: signal.Signals) -> None:
    class Interrupted(Line):
        def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
            if step == 3:
                signal.raise_signal(number)
            return super().loss(loaded, step)

    class Told(Notes):
        calls = 0

        def interrupted(self) -> None:
            self.calls += 1

    def stop(*_: Any) -> None:
        raise Stop

    before, told = signal.signal(number, stop), Told()
    try:
        with pytest.raises(Stop):
            run(Interrupted(rate=0.1), tmp_path / "broken", told)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert (told.calls, told.checkpoints) == (1, [(NAME, 4)])
    resumed = Resumed()
    run(Line(rate=0.1), tmp_path / "broken", resumed)
    assert resumed.at == (4, 6)
    run(Line(rate=0.1), tmp_path / "whole")
    for name in (NAME, "metrics.jsonl"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_second_interruption_acts_at_once() -> None:
    """With Python's own handler: shells let what they start in the background ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_twice() -> None:
    seen: list[str] = []
    with Interruption(lambda: seen.append("told")) as held:
        signal.raise_signal(signal.SIGINT)
        assert (held.number, seen) == (signal.SIGINT, ["told"])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert seen == ["told"]
    with Interruption(lambda: None, several=True) as held:  # a launcher repeats what its terminal has sent
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert held.number == signal.SIGINT


class Stop(BaseException):
    """What the signal did before the training."""


class Resumed(Notes):
    at: tuple[int, int] | None = None

    def resumed(self, step: int, steps: int) -> None:
        self.at = (step, steps)


def test_a_reused_batch_is_loaded_once(tmp_path: Path) -> None:
    course = Line()
    run(course, tmp_path, reuse=3)
    assert len(course.loaded) == 2


def test_what_a_checkpoint_was_made_with_is_compared(tmp_path: Path) -> None:
    run(Line(), tmp_path, steps=3)
    with pytest.raises(InputError, match=r"made with batch = 2, asked for is 3; .*remove the checkpoint"):
        run(Line(), tmp_path, steps=3, batch=3)
