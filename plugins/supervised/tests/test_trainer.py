"""The supervised trainer: what a step does, what it repeats, what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from wellposed.dataset import Sample
from wellposed.errors import InputError, SolveFailed
from wellposed.hooks import TrainingObserver
from wellposed.metric import Metric
from wellposed.testing.doubles import Bumps
from wellposed.training.checkpoint import NAME, Checkpoint
from wellposed.training.order import Order
from wellposed_supervised.solvers.learned_primal_dual import LearnedPrimalDual
from wellposed_supervised.trainers.supervised import Supervised


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.state_dict().items()}


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_every_step_is_adam_with_clipped_gradients_and_a_cosine(toy: ModuleType, tmp_path: Path) -> None:
    """The same training written out with torch alone gives the same weights."""
    settings = {"steps": 5, "batch": 2, "reuse": 1, "clip": 0.05, "validation": 0, "metrics": []}
    target, data = LearnedPrimalDual(steps=2, width=4), toy.data()
    toy.trainer(**settings).fit(target, data, tmp_path)
    other = LearnedPrimalDual(steps=2, width=4)
    optimizer = torch.optim.Adam(other.parameters(), lr=1e-2)
    order = Order(10, 2, 1, 0)
    lengths = []
    for step in range(5):
        optimizer.param_groups[0]["lr"] = 0.5e-2 * (1 + math.cos(math.pi * step / 5))
        samples = [data[i] for i in order.of_step(step)]
        x = other(torch.stack([s.measurement for s in samples]), toy.Blur())
        loss = (x - torch.stack([s.truth for s in samples])).square().mean()
        optimizer.zero_grad()
        loss.backward()
        lengths.append(float(nn.utils.clip_grad_norm_(other.parameters(), 0.05)))
        optimizer.step()
    assert max(lengths) > 0.05  # the clipping was at work
    for name, value in weights(target).items():
        torch.testing.assert_close(value, weights(other)[name], rtol=1e-5, atol=1e-7)
    logged = lines(tmp_path)
    assert [line["gradient"] for line in logged] == pytest.approx(lengths, rel=1e-5)
    assert [line["step"] for line in logged] == [1, 2, 3, 4, 5]


def test_it_learns(toy: ModuleType, tmp_path: Path) -> None:
    fitted = toy.trainer(steps=150, reuse=1, log_every=1).fit(LearnedPrimalDual(steps=2, width=8), toy.data(), tmp_path)
    losses = [line["loss"] for line in lines(tmp_path) if "loss" in line]
    assert sum(losses[-10:]) < 0.05 * sum(losses[:10])
    assert fitted.steps == 150
    assert fitted.metrics["validation mean-squared-error"] < 0.02


def test_trainings_are_repeatable_and_touch_no_global_random_numbers(toy: ModuleType, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    first = toy.trainer().fit(toy.solver(), toy.data(), tmp_path / "first").target
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    second = toy.trainer().fit(toy.solver(), toy.data(), tmp_path / "second").target
    other = toy.trainer(seed=1).fit(toy.solver(), toy.data(), tmp_path / "other").target
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


def test_the_target_comes_back_as_it_was_given_but_for_its_weights(toy: ModuleType, tmp_path: Path) -> None:
    target = toy.solver().eval()
    fitted = toy.trainer(precision="bfloat16").fit(target, toy.data(), tmp_path)
    assert fitted.target is target
    assert not target.training
    assert all(p.dtype == torch.float32 for p in target.parameters())
    assert target(torch.rand(1, 1, 8, 8), toy.Blur()).dtype == torch.float32


def test_bfloat16_learns_as_well(toy: ModuleType, tmp_path: Path) -> None:
    solver = LearnedPrimalDual(steps=2, width=8)
    toy.trainer(steps=80, precision="bfloat16").fit(solver, toy.data(), tmp_path)
    losses = [line["loss"] for line in lines(tmp_path) if "loss" in line]
    assert sum(losses[-10:]) < 0.1 * sum(losses[:10])


def test_validation_samples_are_never_trained_on(toy: ModuleType, tmp_path: Path) -> None:
    class Watched(type(toy.data())):
        def __init__(self) -> None:
            self.__dict__.update(toy.data().__dict__)
            self.asked: list[int] = []

        def __getitem__(self, index: int) -> Sample:
            self.asked.append(index)
            return super().__getitem__(index)

    data = Watched()
    toy.trainer(validate_every=100).fit(toy.solver(), data, tmp_path)
    assert set(data.asked[:-2]) == set(range(8))
    assert data.asked[-2:] == [8, 9]


def test_the_observer_is_told(toy: ModuleType, tmp_path: Path) -> None:
    told: list[tuple] = []

    class Recording(TrainingObserver):
        def step(self, step, steps, metrics) -> None:
            told.append(("step", step, steps, sorted(metrics)))

        def epoch(self, epoch, metrics) -> None:
            told.append(("epoch", epoch, sorted(metrics)))

        def checkpoint(self, path, step) -> None:
            told.append(("checkpoint", path.name, step))

    toy.trainer(log_every=6).fit(toy.solver(), toy.data(), tmp_path, Recording())
    assert [t for t in told if t[0] == "step"] == [
        ("step", n, 12, ["gradient", "learning_rate", "loss"]) for n in (6, 12)
    ]
    assert [t for t in told if t[0] == "checkpoint"] == [("checkpoint", NAME, n) for n in (4, 8, 12)]
    assert len([t for t in told if t[0] == "epoch"]) == 3


def test_a_damaged_checkpoint_is_told_in_a_sentence(toy: ModuleType, tmp_path: Path) -> None:
    toy.trainer().fit(toy.solver(), toy.data(), tmp_path)
    path = tmp_path / NAME
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for damage in (whole[: len(whole) // 2], b"", bytes(flipped), b"nothing of the kind"):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"checkpoint\.safetensors is damaged \(.+\); put back a copy"):
            toy.trainer().fit(toy.solver(), toy.data(), tmp_path)
    path.write_bytes(whole)
    assert Checkpoint.read(tmp_path) is not None
    # The refusal left nothing behind in accelerate's process-wide state.
    toy.trainer(precision="bfloat16").fit(toy.solver(), toy.data(), tmp_path / "next")


def test_a_checkpoint_of_other_settings_or_another_target_is_refused(toy: ModuleType, tmp_path: Path) -> None:
    toy.trainer().fit(toy.solver(), toy.data(), tmp_path)
    with pytest.raises(InputError, match=r"made with steps = 12, asked for is 13"):
        toy.trainer(steps=13).fit(toy.solver(), toy.data(), tmp_path)
    with pytest.raises(InputError, match="of another target than LearnedPrimalDual"):
        toy.trainer().fit(LearnedPrimalDual(steps=1, width=2), toy.data(), tmp_path)
    toy.trainer(checkpoint_every=6).fit(toy.solver(), toy.data(), tmp_path)  # how often it is written is free


class Never(Metric):
    """A loss that is not finite."""

    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return (x - truth).flatten(1).sum(1) * math.nan


class Higher(Metric):
    """A metric that is no loss."""

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return x.flatten(1).sum(1)


def test_divergence_is_told_and_leaves_the_weights_as_they_were(toy: ModuleType, tmp_path: Path) -> None:
    solver = toy.solver()
    before = [p.detach().clone() for p in solver.parameters()]
    with pytest.raises(SolveFailed, match=r"diverged by step \d+: the gradients of \d+ steps in a row"):
        toy.trainer(loss=Never()).fit(solver, toy.data(), tmp_path)
    assert all(torch.equal(p, old) for p, old in zip(solver.parameters(), before, strict=True))


def test_bad_settings_and_data_are_told(toy: ModuleType, tmp_path: Path) -> None:
    for changes, match in (
        ({"steps": 0}, "steps must be at least 1"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"betas": (0.9, 1.0)}, "betas must be in"),
        ({"loss": Higher()}, "better when lower"),
        ({"metrics": []}, "nothing to measure"),
    ):
        with pytest.raises(InputError, match=match):
            toy.trainer(**changes)
    with pytest.raises(InputError, match="nothing is left to train on"):
        toy.trainer(validation=10).fit(toy.solver(), toy.data(), tmp_path)
    with pytest.raises(InputError, match="has no measurement"):
        toy.trainer().fit(toy.solver(), Bumps(count=10), tmp_path)
    with pytest.raises(InputError, match="trains solvers"):
        Supervised(steps=1).fit(nn.Linear(1, 1), toy.data(), tmp_path)
    with pytest.raises(InputError, match="nothing to learn"):
        Supervised(steps=1).fit(toy.solver().requires_grad_(False), toy.data(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"final_learning_rate": -0.1}, "final_learning_rate must be at least 0"),
        ({"betas": (0.9, 1.0)}, r"betas must be in \[0, 1\)"),
        ({"betas": (-0.1, 0.9)}, r"betas must be in \[0, 1\)"),
        ({"validation": 2, "metrics": []}, "names nothing to measure"),
    ],
)
def test_numbers_that_make_no_training(toy: ModuleType, changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        toy.trainer(**changes)
    toy.trainer(betas=(0.0, 0.0), final_learning_rate=0.0)


def test_rates_fall_by_half_a_cosine_to_the_last() -> None:
    from wellposed_supervised.trainers.course import Rate

    rate = Rate(1.0, 0.2, (0.9, 0.99))
    assert [rate.of_step(step, 4) for step in (0, 2, 4)] == pytest.approx([1.0, 0.6, 0.2])
    assert rate.document() == {"learning_rate": 1.0, "final_learning_rate": 0.2, "betas": [0.9, 0.99]}


def test_a_solver_of_which_a_part_is_frozen_still_learns(toy: ModuleType, tmp_path: Path) -> None:
    target = LearnedPrimalDual(steps=1, width=4)
    first, *_ = target.parameters()
    first.requires_grad_(False)
    before = weights(target)
    toy.trainer(steps=2, validation=0, metrics=[]).fit(target, toy.data(), tmp_path)
    assert not same(before, weights(target))
    for p in target.parameters():
        p.requires_grad_(False)
    with pytest.raises(InputError, match="has nothing to learn"):
        toy.trainer(steps=2).fit(target, toy.data(), tmp_path / "again")
