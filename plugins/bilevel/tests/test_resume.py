"""A killed training goes on to the same numbers; a folder of another training is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bilevel_doubles import Smoothed, denoiser, signals

from wellposed import InputError, Trainer
from wellposed.hooks.training import TrainingObserver
from wellposed_bilevel.conditioning import ConditionPenalty
from wellposed_bilevel.parameters import Parameter
from wellposed_bilevel.trainers.derivative_free import DerivativeFree
from wellposed_bilevel.trainers.implicit import ImplicitGradient

PARAMETERS = [Parameter("regularizer.alpha", 0.0, (-4.0, 3.0)), Parameter("regularizer.nu", -1.0, (-4.0, 0.0))]
PENALTY = ConditionPenalty(1e-6)


class Killed(Exception):
    pass


class Killer(TrainingObserver):
    """Ends the run after a number of evaluations, as a kill would: before the trainer goes on."""

    def __init__(self, after: int) -> None:
        self.after = after

    def checkpoint(self, path: Path, step: int) -> None:
        if step >= self.after:
            raise Killed


def trainer(kind: type, evaluations: int = 20) -> Trainer:
    return kind(PARAMETERS, evaluations=evaluations, penalty=PENALTY)


def run(kind: type, folder: Path, observer: TrainingObserver | None = None, evaluations: int = 20):
    return trainer(kind, evaluations).fit(denoiser(Smoothed()), signals(2, 24), folder, observer)


@pytest.mark.parametrize("kind", [DerivativeFree, ImplicitGradient])
def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path: Path, kind: type) -> None:
    whole = run(kind, tmp_path / "whole")
    kills = 0
    for after in (1, 3, 5, 6):
        with pytest.raises(Killed):
            run(kind, tmp_path / "killed", Killer(after))
        kills += 1
    with (tmp_path / "killed" / "evaluations.jsonl").open("a") as file:
        file.write('{"index": 6, "theta": {"regul')  # a line that the kill cut short
    resumed = run(kind, tmp_path / "killed")
    assert kills == 4
    assert resumed.metrics == whole.metrics
    for name in ("evaluations.jsonl", "parameters.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_run_is_found_again_and_can_be_given_more_budget(tmp_path: Path) -> None:
    first = run(DerivativeFree, tmp_path / "a", evaluations=12)
    again = run(DerivativeFree, tmp_path / "a", evaluations=12)
    assert again.metrics == first.metrics
    longer = run(DerivativeFree, tmp_path / "a", evaluations=20)
    assert longer.metrics == run(DerivativeFree, tmp_path / "b", evaluations=20).metrics


def test_stored_images_are_bounded_by_the_interpolation_set(tmp_path: Path) -> None:
    run(DerivativeFree, tmp_path)
    assert len(list((tmp_path / "solutions").iterdir())) <= len(PARAMETERS) + 3


def test_the_transcript_says_what_was_asked_and_done(tmp_path: Path) -> None:
    run(DerivativeFree, tmp_path, evaluations=5)
    lines = [json.loads(line) for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    for entry in lines[1:]:
        assert set(entry["theta"]) == {p.path for p in PARAMETERS}
        assert max(entry["bounds"]) <= entry["demand"]["accuracy"]
        assert entry["work"] > 0
        assert entry["value"] == pytest.approx(sum(r**2 for r in entry["residuals"]) + entry["penalty"])


def test_a_folder_of_another_training_is_refused(tmp_path: Path) -> None:
    run(DerivativeFree, tmp_path, evaluations=5)
    with pytest.raises(InputError, match="another data"):
        trainer(DerivativeFree).fit(denoiser(Smoothed()), signals(2, 24, seed=5), tmp_path)
    with pytest.raises(InputError, match="another accuracy"):
        run(ImplicitGradient, tmp_path)
    other = [denoiser(Smoothed(xi=1.0)), denoiser(Smoothed(), limit=500)]
    for target in other:
        with pytest.raises(InputError, match="another solver"):
            trainer(DerivativeFree).fit(target, signals(2, 24), tmp_path)
    trained = run(DerivativeFree, tmp_path).target
    assert trainer(DerivativeFree).fit(trained, signals(2, 24), tmp_path).steps == 20, "learned values do not count"


def test_a_damaged_folder_is_said(tmp_path: Path) -> None:
    run(DerivativeFree, tmp_path, evaluations=6)
    for file in (tmp_path / "solutions").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="is gone"):
        run(DerivativeFree, tmp_path, evaluations=9)
    path = tmp_path / "evaluations.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2][:40], *lines[3:]]) + "\n")
    with pytest.raises(InputError, match="damaged"):
        run(DerivativeFree, tmp_path, evaluations=9)
