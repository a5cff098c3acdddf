"""Running recipes: what is printed, what is written, how it is interrupted."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

from wellposed import InputError, component
from wellposed.report.training import training_section

EVERYTHING = {
    "recipe.yaml",
    "environment.json",
    "metrics.jsonl",
    "results.json",
    "report.html",
    "reconstructions",
    "figures",
}


def test_a_run_prints_a_table_and_writes_everything(toy: Any) -> None:
    done = toy("run", "toy/squares", "samples=2", "--out", "out")
    assert done.code == 0, done.errors
    assert done.errors == ""  # no terminal, no progress bars
    assert "adjoint" in done.output
    assert "report: out/report.html" in done.output
    assert all(len(line) <= 80 for line in done.output.splitlines())
    assert {p.name for p in Path("out").iterdir()} == EVERYTHING
    assert len(list(Path("out/reconstructions").iterdir())) == 4
    image = np.load("out/reconstructions/square-0.descent.npy")
    assert image.shape == (1, 24, 24)
    assert "Toy section" in Path("out/report.html").read_text()


def test_json_is_what_the_design_says(toy: Any) -> None:
    document = toy("run", "toy/squares", "--out", "out", "--json").json
    assert [entry["solver"] for entry in document["results"]] == ["adjoint", "descent"]
    assert {"toy-psnr", "toy-mse", "seconds", "iterations", "verdict"} <= set(document["results"][0])
    assert document["run"] == "out"
    written = json.loads(Path("out/results.json").read_text())
    assert written["results"] == document["results"]


def test_the_same_recipe_gives_the_same_images(toy: Any) -> None:
    toy("run", "toy/squares", "--out", "one")
    toy("run", "one/recipe.yaml", "--out", "two")
    for path in Path("one/reconstructions").iterdir():
        np.testing.assert_array_equal(np.load(path), np.load(Path("two/reconstructions") / path.name))
    assert yaml.safe_load(Path("one/recipe.yaml").read_text()) == yaml.safe_load(Path("two/recipe.yaml").read_text())


def test_the_history_is_kept_line_by_line(toy: Any) -> None:
    toy("run", "toy/squares", "--out", "out")
    lines = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    steps = [line["iteration"] for line in lines if "iteration" in line and line["solver"] == "descent"]
    assert steps == list(range(1, len(steps) + 1))
    assert {"objective", "toy-psnr", "relative_change"} <= set(lines[1])
    assert lines[-1]["verdict"] == "converged"


def test_without_out_the_run_is_named_after_the_recipe(toy: Any) -> None:
    toy("run", "toy/squares")
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("toy-squares-")


def test_an_existing_run_is_kept_unless_told_otherwise(toy: Any) -> None:
    toy("run", "toy/squares", "--out", "out")
    before = Path("out/results.json").stat().st_mtime_ns
    done = toy("run", "toy/squares", "--out", "out")
    assert done.code == 2
    assert "--overwrite" in done.errors
    assert Path("out/results.json").stat().st_mtime_ns == before
    assert toy("run", "toy/squares", "--out", "out", "--overwrite").code == 0


def test_failure_after_the_start_leaves_nothing(toy: Any) -> None:
    done = toy("run", "toy/squares", "operator.gain=[]", "--out", "deep/out")
    assert done.code == 2
    assert list(Path().iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(toy: Any, monkeypatch: Any) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = toy("run", "toy/squares", "--out", "runs/out")
    assert done.code == 1
    assert "the disk is full at" in done.errors
    assert "; make room or choose another --out" in done.errors
    assert list(Path().iterdir()) == []


def test_progress_is_shown_on_terminals(toy: Any, monkeypatch: Any) -> None:
    from wellposed.cli import progress
    from wellposed.cli.execute import prepared
    from wellposed.hooks import HookManager
    from wellposed.recipes import load_recipe

    experiment = prepared(load_recipe("toy/squares", ["samples=3"]))
    with progress.RunProgress(experiment, HookManager()) as silent:
        assert silent.observer is None
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(progress, "console", lambda **_: terminal)
    monkeypatch.setattr(progress, "_REFRESH", 0.0)
    with progress.RunProgress(experiment, HookManager()) as shown:
        experiment.run(shown.observer, shown.finished)
    text = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "6/6" in text
    assert "images/s" in text
    assert "descent · square-2" in text
    assert "it/s" in text


def test_a_verdict_that_is_not_well_is_said(toy: Any) -> None:
    done = toy("run", "toy/squares", "solvers.descent.stop.iterations=3", "--out", "out")
    assert done.code == 0
    assert "descent: iteration limit (square-0). The iteration limit came before the tolerance" in done.errors
    assert "iteration limit" in Path("out/report.html").read_text()


def test_only_lost_images_are_a_failure(toy: Any) -> None:
    done = toy("run", "toy/squares", "operator.gain=.inf", "--out", "out")
    assert done.code == 1
    assert "NaN or infinite entries" in done.errors


def test_evaluate_gives_mean_and_spread(toy: Any) -> None:
    done = toy("evaluate", "toy/squares", "--samples", "5", "--out", "out", "--json")
    first = done.json["results"][0]
    assert first["samples"] == 5
    values = [row["toy-psnr"] for row in done.json["rows"] if row["solver"] == "adjoint"]
    assert first["toy-psnr"] == pytest.approx(np.mean(values))
    assert first["toy-psnr_std"] == pytest.approx(np.std(values, ddof=1))


@pytest.mark.parametrize("torn_one", [0, 2])
def test_a_sample_that_cannot_be_read_does_not_cost_the_others(toy: Any, monkeypatch: Any, torn_one: int) -> None:
    squares = component("datasets", "toy-squares")
    read = squares.__getitem__

    def torn(self: Any, index: int) -> Any:
        if index == torn_one:
            raise InputError(f"image {index} is torn; replace it")
        return read(self, index)

    monkeypatch.setattr(squares, "__getitem__", torn)
    done = toy("evaluate", "toy/squares", "--samples", "5", "--out", "out")
    assert done.code == 2
    assert f"sample {torn_one} is left out: image {torn_one} is torn; replace it" in done.errors
    written = json.loads(Path("out/results.json").read_text())
    assert [entry["samples"] for entry in written["results"]] == [4, 4]
    reason = f"image {torn_one} is torn; replace it"
    assert written["left_out"] == [{"sample": f"sample {torn_one}", "reason": reason}]
    assert reason in Path("out/report.html").read_text()


def test_what_fails_on_every_sample_is_a_failure(toy: Any, monkeypatch: Any) -> None:
    def refuse(self: Any, y: Any, operator: Any) -> Any:
        raise InputError("nothing is right")

    monkeypatch.setattr(component("solvers", "toy-adjoint"), "forward", refuse)
    done = toy("run", "toy/squares", "samples=2", "solvers={adjoint: toy-adjoint}", "--out", "out")
    assert (done.code, list(Path().iterdir())) == (2, [])
    assert "sample square-0, solver adjoint: nothing is right" in done.errors


def test_compare_puts_all_solvers_on_the_first_problem(toy: Any) -> None:
    names = ["toy/squares", "toy/learned", "toy/squares"]
    document = toy("compare", *names, "--set", "data.seed=5", "--out", "out", "--json").json
    labels = [entry["solver"] for entry in document["results"]]
    assert labels == ["adjoint", "descent", "scaled", "adjoint (toy/squares)", "descent (toy/squares)"]
    recipe = yaml.safe_load(Path("out/recipe.yaml").read_text())
    assert recipe["data"] == {"use": "toy-squares", "seed": 5}
    same = {entry["solver"]: entry["toy-psnr"] for entry in document["results"]}
    assert same["adjoint"] == same["adjoint (toy/squares)"]


def test_the_demo_takes_in_who_poses_the_same_problem(toy: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("WELLPOSED_DISABLE", "wellposed-classical")
    problem = "data: toy-squares\noperator: toy-blur\nmetrics: [toy-psnr]\n"
    for name, text in (
        ("classical", problem + "solvers: {adjoint: toy-adjoint}"),
        ("same", problem + "solvers: {scaled: toy-scaled, adjoint: toy-adjoint}"),
        ("other", "data: toy-squares\noperator: {use: toy-blur, gain: 2.0}\nsolvers: {other: toy-adjoint}"),
        ("broken", problem + "solvers: {broken: no-such-solver}"),
        ("unreadable", "data: ["),
    ):
        folder = toy.site / f"pack_{name}"
        folder.mkdir()
        (folder / "demo.yaml").write_text(text)
        (folder / "__init__.py").write_text("")
        toy.install(f"demo-{name}", {"wellposed.recipes": {name: f"pack_{name}:."}})
    done = toy("demo", "--out", "out", "--json")
    assert done.code == 0, done.errors
    assert [entry["solver"] for entry in done.json["results"]] == ["adjoint", "scaled", "adjoint (same)"]
    assert "broken/demo is left out" in done.errors
    assert "unreadable/demo is left out" in done.errors


def test_training_writes_weights_that_fit(toy: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TOY_HOOKS", str(tmp_path / "told"))
    done = toy("train", "toy/learned", "--out", "out")
    assert done.code == 0, done.errors
    assert "training; metrics and checkpoints are in" in done.errors  # no terminal, no bar
    weights = load_file("out/model.safetensors")
    assert float(weights["w"]) != pytest.approx(0.1)
    use = "solvers.scaled={use: toy-scaled, weights: out/model.safetensors}"
    trained = toy("run", "toy/learned", use, "--out", "again", "--json").json["results"][0]
    untrained = toy("run", "toy/learned", "--out", "plain", "--json").json["results"][0]
    assert trained["toy-psnr"] == json.loads(Path("out/results.json").read_text())["results"][0]["toy-psnr"]
    assert trained["toy-psnr"] > untrained["toy-psnr"] + 3
    told = (tmp_path / "told").read_text().splitlines()
    assert told.count("step 20") == 1
    assert "checkpoint 20 checkpoint.safetensors" in told
    assert "finished out" in told


def test_interrupted_training_goes_on_to_the_same_numbers(toy: Any) -> None:
    done = toy("train", "toy/learned", "--out", "whole")
    assert done.code == 0
    settings = ["train", "toy/learned", "training.trainer={use: toy-trainer, fail_at: 8}", "--out", "parts"]
    broken = toy(*settings)
    assert broken.code == 130
    assert "the checkpoint of step 7 is in .parts.unfinished/trainer; the same command goes on" in broken.errors
    assert "interrupted" in broken.errors
    assert not Path("parts").exists()
    other = toy("train", "toy/learned", "--out", "parts")
    assert other.code == 2
    assert ".parts.unfinished holds unfinished work with another training.trainer;" in other.errors
    assert toy(*settings).code == 0
    assert torch.equal(load_file("whole/model.safetensors")["w"], load_file("parts/model.safetensors")["w"])
    assert [p.name for p in Path().glob(".*")] == []


def test_the_report_of_a_training_shows_its_curves(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    assert training_section(log) == []
    lines = [{"step": k, "loss": 1 / k, "learning_rate": 1e-3} for k in (10, 20, 30)]
    lines += [{"step": 30, "validation loss": 0.1}, {"step": 30, "validation psnr": None}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ((title, html),) = training_section(log)
    assert title == "Training"
    assert html.count("<svg") == 1
    assert "validation loss" in html  # beside the loss
    assert "learning" not in html


def test_stability_compares_worst_and_random_errors(toy: Any) -> None:
    done = toy("stability", "toy/squares", "--norms", "0.02,0.1", "--out", "out", "--json")
    assert done.code == 0, done.errors
    rows = done.json["results"]
    assert [(r["solver"], r["level"]) for r in rows] == [(s, e) for s in ("adjoint", "descent") for e in (0.02, 0.1)]
    assert all(r["worst"] > r["random"] for r in rows)
    assert "Stability" in Path("out/report.html").read_text()
    assert json.loads(Path("out/stability.json").read_text())["results"] == rows


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_leaves_no_run_or_a_complete_one(toy: Any, number: signal.Signals) -> None:
    """Slowed so that it lasts about a second after its start; killed while it works."""
    slow = "solvers.descent.iteration={use: toy-descent, pause: 0.05}"
    process = toy.start("run", "toy/squares", slow, "--out", "runs/out")
    while not list(Path("runs").glob(".out.partial-*")) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(0.3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert not Path("runs/out").exists()
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert "Traceback" not in errors
    if number != signal.SIGKILL:
        # Of what was done before the kill, the finished part stays for the same command.
        assert not Path("runs").exists() or [path.name for path in Path("runs").iterdir()] == [".out.samples"]
    assert toy("run", "toy/squares", "--out", "runs/out").code == 0
    assert {p.name for p in Path("runs/out").iterdir()} == EVERYTHING
    assert list(Path("runs").glob(".*")) == []


def test_labels_that_make_the_same_file_name_keep_their_own_files(toy: Any) -> None:
    solvers = ["solvers.TV=toy-adjoint", "solvers.TV*=toy-adjoint"]
    assert toy("run", "toy/squares", *solvers, "--out", "out").code == 0
    names = {path.name for path in Path("out/reconstructions").iterdir()}
    assert {name.split(".", 1)[1] for name in names} >= {"TV.npy", "TV-2.npy"}


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("metrics=[toy-psnr, toy-psnr]", "metrics.1: 'toy-psnr' is among the metrics twice"),
        ("display.window=[1.0, 0.0]", "display.window: the value should be two increasing numbers"),
        ("display.zoom=[0, 0, 0, 0]", "display.zoom: the value should be [row, column, height, width] of a region"),
        ("samples=none", "samples"),
    ],
)
def test_what_would_fail_after_the_work_is_refused_before(toy: Any, setting: str, sentence: str) -> None:
    done = toy("run", "toy/squares", setting, "--out", "out")
    assert done.code == 2
    assert sentence in done.errors


def test_a_region_outside_the_image_is_moved_into_it(toy: Any) -> None:
    assert toy("run", "toy/squares", "display.zoom=[1000, 1000, 50, 50]", "--out", "out").code == 0
    assert Path("out/report.html").is_file()


def test_stability_prints_a_table_with_the_first_metric(toy: Any) -> None:
    done = toy("stability", "toy/squares", "--norms", "0.05", "--out", "out")
    assert done.code == 0, done.errors
    assert "gain" in done.output
    assert "toy psnr" in done.output.replace("\n", " ")
    assert "adjoint" in done.output
    assert "searched for" not in done.output
    done = toy("stability", "toy/squares", "--norms", "0.05,x")
    assert done.code == 2
    assert "numbers such as" in done.errors


def test_stability_of_what_has_no_derivative_says_that_it_searched(toy: Any) -> None:
    done = toy("stability", "toy/squares", "solvers={a: toy-adjoint, r: toy-rounded}", "--norms", "0.05", "--out", "o")
    assert done.code == 0, done.errors
    assert "worst errors were searched for" in done.output.replace("\n", " ")
