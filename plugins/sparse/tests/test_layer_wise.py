"""The layer-wise trainer: which layer learns when, what it leaves alone, and that it goes on bit for bit."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import wellposed
from wellposed.dataset import Dataset, Sample, Simulated
from wellposed.errors import InputError
from wellposed.hooks import TrainingObserver
from wellposed.metric import Metric
from wellposed.operator import LinearOperator, Operator
from wellposed.solver import DirectSolver
from wellposed.testing.doubles import Bumps
from wellposed.training.checkpoint import NAME
from wellposed_sparse.datasets.sparse_codes import SparseCodes
from wellposed_sparse.solvers.alista import ALISTA
from wellposed_sparse.trainers.layer_wise import HalfSquaredError, LayerWise
from wellposed_sparse.trainers.stages import Stages


def codes(operator: LinearOperator, length: int = 24) -> Simulated:
    return Simulated(SparseCodes(20, probability=0.2, length=length, seed=1), operator.float())


def trainer(**changes: object) -> LayerWise:
    numbers: dict = {"stage_steps": [4, 4, 2], "learning_rates": [1e-2, 2e-3, 3e-4], "batch": 6, "log_every": 1}
    return LayerWise(**{**numbers, "checkpoint_every": 7, **changes})


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.state_dict().items()}


def test_the_new_layer_learns_alone_and_then_all_of_them() -> None:
    stages = Stages((2, 3, 1), (1.0, 0.5, 0.1), 0.3)
    assert [stages.layer_of(step) for step in (0, 5, 6, 11, 12)] == [0, 0, 1, 1, 2]
    assert stages.rates(0, 3) == [1.0, 0.0, 0.0]
    assert stages.rates(2, 3) == [0.5, 0.0, 0.0]
    assert stages.rates(7, 3) == [0.0, 1.0, 0.0]
    assert stages.rates(8, 3) == pytest.approx([0.15, 0.5, 0.0])
    assert stages.rates(17, 3) == pytest.approx([0.009, 0.03, 0.1])
    skipped = Stages((0, 2), (1.0, 0.5), 1.0)
    assert skipped.rates(3, 2) == [0.5, 0.5]


class Watching(TrainingObserver):
    """Keeps the weights after every step."""

    def __init__(self, target: nn.Module) -> None:
        self.target, self.seen = target, [weights(target)]

    def step(self, step, steps, metrics) -> None:
        self.seen.append(weights(self.target))


def test_what_does_not_learn_stays_bit_for_bit(dense: LinearOperator, tmp_path: Path) -> None:
    target = ALISTA(layers=3)
    watch = Watching(target)
    trainer().fit(target, codes(dense), tmp_path, watch)
    assert len(watch.seen) == 31
    for step, (before, after) in enumerate(zip(watch.seen, watch.seen[1:], strict=False)):
        changed = {int(name.split(".")[2]) for name in before if not torch.equal(before[name], after[name])}
        newest, place = divmod(step, 10)
        assert changed == ({newest} if place < 4 else set(range(newest + 1)))
    assert all(p.requires_grad for p in target.parameters())


class Scaled(DirectSolver):
    """A learned multiple of the adjoint, to start from."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        assert isinstance(operator, LinearOperator)
        return self.factor * operator.adjoint(y)


def test_a_learned_start_learns_with_the_first_layer(dense: LinearOperator, tmp_path: Path) -> None:
    """Nor does its gradient pile up unseen, which would shrink all others by the clipping."""
    target = ALISTA(layers=2)
    target.start = Scaled()
    watch = Watching(target)
    trainer(clip=0.1).fit(target, codes(dense), tmp_path, watch)
    factors = [float(seen["start.factor"]) for seen in watch.seen]
    changed = [a != b for a, b in pairwise(factors)]
    assert changed == [True] * 10 + [False] * 4 + [True] * 6
    assert all(p.grad is None for p in target.parameters())


def test_a_step_is_that_of_adam_on_the_loss_after_the_newest_layer(dense: LinearOperator, tmp_path: Path) -> None:
    """The same training written out with torch alone."""
    data, target, other = codes(dense, 6), ALISTA(layers=2), ALISTA(layers=2)
    trainer(stage_steps=[3], learning_rates=[1e-2]).fit(target, data, tmp_path)
    samples = [data[i] for i in range(6)]
    x = torch.stack([s.truth for s in samples if s.truth is not None])
    y = torch.stack([s.measurement for s in samples if s.measurement is not None])
    for k in range(2):
        optimizer = torch.optim.Adam(other.iteration.layer_parameters()[k], lr=1e-2)
        for _ in range(3):
            found = other.unrolled(k + 1)(y, data.operator)
            optimizer.zero_grad()
            (0.5 * (found - x).square().sum() / 6).backward()
            optimizer.step()
    for name, value in weights(target).items():
        torch.testing.assert_close(value, weights(other)[name], rtol=1e-4, atol=1e-6)


def test_it_learns(dense: LinearOperator, tmp_path: Path) -> None:
    data, solver = codes(dense, 64), ALISTA(layers=3, support=5.0)
    loss = HalfSquaredError()

    def error() -> float:
        samples = [data[i] for i in range(64)]
        with torch.no_grad():
            return sum(
                float(loss(solver(s.measurement[None], data.operator), s.truth[None]))
                for s in samples
                if s.measurement is not None and s.truth is not None
            )

    before = error()
    found = trainer(stage_steps=[30, 20], learning_rates=[2e-2, 5e-3], batch=16, validation=8, metrics=[loss]).fit(
        solver, data, tmp_path
    )
    assert error() < 0.8 * before
    assert found.steps == 150
    assert found.metrics["validation half-squared-error"] < 0.8 * before / 64


class Interrupted(Exception):
    """Stands for whatever ends a process."""


class Interrupting(TrainingObserver):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step, steps, metrics) -> None:
        if step == self.at:
            raise Interrupted


@pytest.mark.parametrize("at", [8, 15, 29])
def test_an_interrupted_training_goes_on_bitwise(dense: LinearOperator, tmp_path: Path, at: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trainer().fit(ALISTA(layers=3), codes(dense), whole)
    with pytest.raises(Interrupted):
        trainer().fit(ALISTA(layers=3), codes(dense), broken, Interrupting(at))
    assert (broken / NAME).read_bytes() != (whole / NAME).read_bytes()
    trainer().fit(ALISTA(layers=3), codes(dense), broken)
    assert (broken / NAME).read_bytes() == (whole / NAME).read_bytes()
    assert (broken / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_the_log_names_loss_gradient_and_rate(dense: LinearOperator, tmp_path: Path) -> None:
    trainer().fit(ALISTA(layers=1), codes(dense), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["learning_rate"] for line in lines] == [1e-2] * 4 + [2e-3] * 4 + [3e-4] * 2
    assert all(line.keys() == {"step", "loss", "gradient", "learning_rate"} for line in lines)


class Counted(Dataset):
    """Counts how often a sample is drawn."""

    def __init__(self, data: Dataset) -> None:
        self.data, self.drawn = data, 0

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        self.drawn += 1
        return self.data[index]


def test_samples_are_drawn_once(dense: LinearOperator, tmp_path: Path) -> None:
    data = Counted(codes(dense))
    trainer().fit(ALISTA(layers=3), data, tmp_path)
    assert data.drawn == 24


class Higher(Metric):
    """A metric that is no loss."""


def test_what_makes_no_training_is_told(dense: LinearOperator, tmp_path: Path) -> None:
    for changes, match in (
        ({"stage_steps": [3]}, "as many as learning_rates"),
        ({"stage_steps": [0, 0, 0]}, "sum of stage_steps must be at least 1"),
        ({"learning_rates": [1.0, 0.0, 1.0]}, "learning_rates must be positive"),
        ({"decay": 0.0}, "decay must be in"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"loss": Higher()}, "better when lower"),
        ({"validation": 2}, "nothing to measure"),
    ):
        with pytest.raises(InputError, match=match):
            trainer(**changes)
    with pytest.raises(InputError, match="trains solvers with layers"):
        trainer().fit(nn.Linear(1, 1), codes(dense), tmp_path)
    plain = wellposed.component("solvers", "ista-net-plus")(phases=1, features=2)
    with pytest.raises(InputError, match="ISTANetPlus has none"):
        trainer().fit(plain, codes(dense), tmp_path)
    with pytest.raises(InputError, match="nothing to learn"):
        trainer().fit(ALISTA(layers=1).requires_grad_(False), codes(dense), tmp_path)
    with pytest.raises(InputError, match="has no measurement"):
        trainer().fit(ALISTA(layers=1), Bumps(), tmp_path)
    trainer().fit(ALISTA(layers=1), codes(dense), tmp_path / "run")
    with pytest.raises(InputError, match=r"made with decay = 1\.0, asked for is 0\.5"):
        trainer(decay=0.5).fit(ALISTA(layers=1), codes(dense), tmp_path / "run")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (((2, 3), (0.1,), 1.0), "stage_steps must be as many as learning_rates"),
        (((), (), 1.0), "stage_steps must be as many as learning_rates"),
        (((2, -1), (0.1, 0.1), 1.0), "stage_steps must be at least 0 each"),
        (((0, 0), (0.1, 0.1), 1.0), "sum of stage_steps must be at least 1"),
        (((2, 3), (0.1, 0.0), 1.0), "learning_rates must be positive"),
        (((2,), (0.1,), 0.0), r"decay must be in \(0, 1\]"),
        (((2,), (0.1,), 1.1), r"decay must be in \(0, 1\]"),
    ],
)
def test_stages_that_make_no_training(numbers: tuple, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Stages(*numbers)
    assert Stages((0, 1), (0.1, 0.1), 1.0).steps_per_layer == 1


def test_a_network_of_which_some_is_frozen_still_learns(matrix_codes: Simulated, tmp_path: Path) -> None:
    solver = ALISTA(layers=2)
    frozen = next(iter(solver.parameters()))
    frozen.requires_grad_(False)
    before = weights(solver)
    trainer().fit(solver, matrix_codes, tmp_path)
    assert any(not torch.equal(before[name], value) for name, value in weights(solver).items())
    for p in solver.parameters():
        p.requires_grad_(False)
    with pytest.raises(InputError, match="has nothing to learn"):
        trainer().fit(solver, matrix_codes, tmp_path / "again")


@pytest.fixture
def matrix_codes(dense: LinearOperator) -> Simulated:
    return codes(dense)
