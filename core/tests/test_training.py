"""What trainers are made of: the order of samples, the log, checkpoints, and the session that runs a course."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wellposed.dataset import Dataset
from wellposed.errors import InputError
from wellposed.hooks import TrainingObserver
from wellposed.metric import Metric
from wellposed.solver import DirectSolver, Iterative
from wellposed.stopping import RelativeChange
from wellposed.stopping import Stop as StopRule
from wellposed.testing.doubles import Bumps, DenseOperator, GradientStep, QuadraticFidelity
from wellposed.training import Batch, Checkpoint, Course, MetricsLog, Order, Pace, Part, losses, metric_sums
from wellposed.training.checkpoint import NAME


def test_samples_are_each_seen_once_before_one_is_seen_again() -> None:
    order = Order(samples=7, batch=3, reuse=2, seed=4)
    seen = [order.of_step(step) for step in range(28)]
    assert seen[0::2] == seen[1::2]
    flat = [i for batch in seen[0::2] for i in batch]
    for epoch in range(6):
        assert sorted(flat[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert flat[:7] != flat[7:14]
    assert order.of_step(9) == Order(7, 3, 2, 4).of_step(9)


def test_the_log_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    for step in (1, 2, 3):
        log.write(step, {"loss": 1.0 / step, "ratio": float("inf")})
    with log.path.open("a") as file:
        file.write('{"step": 4, "lo')  # cut off by a kill
    log.begin(2)
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 1.0, "ratio": None}, {"step": 2, "loss": 0.5, "ratio": None}]


class Squared(Metric):
    """The mean squared modulus of the error."""

    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        assert x.dtype == truth.dtype
        return (x - truth).abs().square().flatten(1).mean(1)


def test_an_imaginary_part_is_an_error_and_is_not_cut_off() -> None:
    class Imaginary(DirectSolver):
        def forward(self, y: Tensor, operator: Any) -> Tensor:
            return torch.complex(y, torch.ones_like(y))

    y = torch.zeros(2, 1, 4, 4)
    operator = DenseOperator.from_tensor(torch.eye(16), (1, 4, 4)).to(torch.float32)
    batch = Batch(y, y, operator)
    assert losses(Imaginary(), Squared(), [batch]) == {"loss": torch.tensor(1.0)}
    assert metric_sums(Imaginary(), [Squared()], [batch]).tolist() == [2.0]


def test_how_the_forward_solves_ended_is_logged(tmp_path: Path) -> None:
    """One of the two samples converges at the start, the other one not within three iterations."""
    operator = DenseOperator.from_tensor(torch.diag(torch.linspace(0.3, 1.0, 16)), (1, 4, 4)).to(torch.float32)
    y = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)]).view(2, *operator.range.shape)
    solver = Iterative(GradientStep(), QuadraticFidelity(), stop=StopRule(3, [RelativeChange(1e-3)]))
    batches = [Batch(torch.zeros(1, 1, 4, 4), y[i : i + 1], operator) for i in (0, 1)]
    found = {name: float(value) for name, value in losses(solver, Squared(), batches).items()}
    assert found.keys() == {"loss", "iterations", "converged", "relative_change"}
    assert (found["iterations"], found["converged"]) == (2.0, 0.5)
    assert found["relative_change"] > 1e-3
    plain = Iterative(GradientStep(), QuadraticFidelity(), stop=StopRule(3))
    assert losses(plain, Squared(), batches).keys() == {"loss"}


def test_a_part_holds_the_first_samples() -> None:
    data = Bumps(count=5)
    part = Part(data, range(3))
    assert len(part) == 3
    assert part[-1].name == data[2].name
    with pytest.raises(IndexError):
        part[3]


def test_a_checkpoint_comes_back_with_the_state_of_the_optimiser(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    Checkpoint.of(5, {"seed": 1}, net, optimizer, {"loss": 0.5}, {}).write(tmp_path)
    found = Checkpoint.read(tmp_path)
    assert found is not None
    assert (found.step, found.settings, found.metrics) == (5, {"seed": 1}, {"loss": 0.5})
    other = nn.Linear(3, 2)
    again = torch.optim.Adam(other.parameters(), lr=0.1)
    found.restore(other, again)
    assert torch.equal(other.weight, net.weight)
    state, expected = again.state_dict()["state"], optimizer.state_dict()["state"]
    assert all(torch.equal(state[i][key], expected[i][key]) for i in (0, 1) for key in expected[i])
    with pytest.raises(InputError, match="of another target than Bilinear"):
        found.restore(nn.Bilinear(2, 2, 2), again)


@pytest.mark.parametrize("numbers", [{"steps": 0}, {"steps": 1, "batch": 0}, {"steps": 1, "clip": 0.0}])
def test_a_pace_that_makes_no_training_is_refused(numbers: dict) -> None:
    with pytest.raises(InputError, match="must be"):
        Pace(**numbers)
    with pytest.raises(InputError, match="nothing is left to train on"):
        Pace(1, validation=4).order(4)


class Two(Course[Tensor]):
    """Brings two numbers near the means of images: one in even, one in odd steps; draws a little noise."""

    def __init__(self) -> None:
        self.target = nn.ParameterDict({"a": torch.zeros(()), "b": torch.zeros(())})
        self.settings, self.measures = {"name": "two"}, ["distance"]
        self.prepared: list[int] = []

    def groups(self) -> list[list[nn.Parameter]]:
        return [[self.target["a"]], [self.target["b"]]]

    def rates(self, step: int) -> list[float]:
        return [0.1, 0.0] if step % 2 == 0 else [0.0, 0.05]

    def prepare(self, data: Dataset) -> None:
        self.prepared.append(len(data))

    def load(self, data: Dataset, indices: Sequence[int], device: torch.device) -> Tensor:
        return torch.stack([t for i in indices if (t := data[i].truth) is not None]).mean((1, 2, 3)).to(device)

    def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
        noise = 0.01 * torch.randn(())
        return {"loss": (self.target["a"] + self.target["b"] - loaded + noise).square().mean(), "noise": noise.abs()}

    def measure(self, loaded: Tensor, step: int) -> Tensor:
        return (self.target["a"] + self.target["b"] - loaded).abs().sum()[None]


class Stopped(Exception):
    """Stands for whatever ends a process."""


class Watching(TrainingObserver):
    def __init__(self, course: Two, stop: int = 0) -> None:
        self.course, self.stop, self.seen = course, stop, []

    def step(self, step, steps, metrics) -> None:
        self.seen.append((float(self.course.target["a"].detach()), float(self.course.target["b"].detach())))
        if step == self.stop:
            raise Stopped


def session(course: Two, folder: Path, observer: TrainingObserver | None = None, **changes: int):
    running = pytest.importorskip("wellposed.training.session", reason="accelerate is not installed")
    pace = Pace(**{"steps": 9, "batch": 2, "validation": 2, "checkpoint_every": 4, "log_every": 1, **changes})
    return running.Session(pace, course, Bumps(count=8), folder, observer)


def test_other_settings_are_refused_and_new_ones_are_not(tmp_path: Path) -> None:
    with session(Two(), tmp_path, steps=4) as first:
        first.run()
    newer = Two()
    newer.settings = {"name": "two", "loss": "a setting that older checkpoints do not have"}
    with session(newer, tmp_path, steps=4) as again:
        assert again.step == 4
    other = Two()
    other.settings = {"name": "three"}
    with pytest.raises(InputError, match="made with name = two, asked for is three"):
        session(other, tmp_path, steps=4).__enter__()


def test_a_group_of_rate_zero_stays_as_it_is_and_preparation_comes_once(tmp_path: Path) -> None:
    course = Two()
    watch = Watching(course)
    with session(course, tmp_path, watch) as run:
        run.run()
    pairs = [(0.0, 0.0), *watch.seen]
    for step, (before, after) in enumerate(itertools.pairwise(pairs)):
        assert [a != b for a, b in zip(before, after, strict=True)] == [step % 2 == 0, step % 2 == 1]
    assert course.prepared == [6]  # the samples kept for validation are not seen
    assert all(p.requires_grad for p in course.target.values())
    assert run.latest.keys() == {"loss", "noise", "gradient", "learning_rate", "validation distance"}
    with session(course, tmp_path) as again:
        again.run()
    assert course.prepared == [6]


def test_a_session_goes_on_bitwise(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with session(Two(), whole) as run:
        run.run()
    course = Two()
    with pytest.raises(Stopped), session(course, broken, Watching(course, 6)) as run:
        run.run()
    with session(Two(), broken) as run:
        run.run()
    for name in (NAME, "metrics.jsonl"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    with pytest.raises(InputError, match="made with steps = 9, asked for is 12"):
        session(Two(), whole, steps=12).__enter__()
