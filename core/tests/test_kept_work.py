"""What is finished stays: a solver that raises, a quantity that cannot be measured, an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wellposed import component
from wellposed.recipes import load_recipe
from wellposed.runs.journal import Journal
from wellposed.runs.mark import mark_of

SPARE = """
from wellposed.regularizer import Regularizer

class Denoiser(Regularizer):
    '''A proximal map without a value.'''
    source = "a test"
    capabilities = frozenset({"prox"})
    def prox(self, x, step):
        return x
"""


@pytest.fixture
def spare(toy: Any) -> Any:
    points = {"spare-denoiser": "toy_spare:Denoiser"}
    toy.install("toy-spare", {"wellposed.regularizers": points}, {"toy_spare": SPARE})
    return toy


def broken(monkeypatch: pytest.MonkeyPatch, where: str, only: str = "") -> None:
    """`descent` raises, in its start or its step, on all samples or on the one of this index."""
    descent = component("iterations", "toy-descent")
    seen: list[int] = []
    work = getattr(descent, where)

    def fail(self: Any, *arguments: Any) -> Any:
        seen.append(1)
        if not only or len(seen) == int(only):
            raise ZeroDivisionError("there is a bug")
        return work(self, *arguments)

    monkeypatch.setattr(descent, where, fail)


@pytest.mark.parametrize("command", [["run"], ["evaluate", "--samples", "3"], ["compare", "--samples", "3"]])
@pytest.mark.parametrize("where", ["init", "step"])
def test_a_solver_that_raises_costs_no_other_its_result(
    toy: Any, monkeypatch: pytest.MonkeyPatch, command: list[str], where: str
) -> None:
    broken(monkeypatch, where)
    done = toy(*command, "toy/squares", "--out", "out")
    assert done.code == 2
    assert "Traceback" not in done.errors
    assert "descent: failed (square-0" in done.errors
    assert "ZeroDivisionError: there is a bug" in done.errors
    assert "failed" in done.output
    document = json.loads(Path("out/results.json").read_text())
    count = 1 if command == ["run"] else 3
    assert [(entry["solver"], entry["samples"]) for entry in document["results"]] == [("adjoint", count)]
    assert len(document["failures"]) == count
    reason = "ZeroDivisionError: there is a bug"
    assert document["failures"][0] == {"solver": "descent", "sample": "square-0", "reason": reason}
    page = Path("out/report.html").read_text()
    assert reason in page
    assert "failed" in page


def test_a_solver_that_fails_on_one_sample_is_measured_on_the_others_and_is_not_the_best(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, "init", only="2")
    done = toy("evaluate", "toy/squares", "--samples", "3", "--out", "out", "--json")
    assert done.code == 2
    assert [entry["samples"] for entry in done.json["results"]] == [3, 2]
    assert [failure["sample"] for failure in done.json["failures"]] == ["square-1"]
    assert {p.name for p in Path("out/reconstructions").iterdir()} == {
        *(f"square-{i}.adjoint.npy" for i in range(3)),
        *(f"square-{i}.descent.npy" for i in (0, 2)),
    }
    assert 'class="best"' not in Path("out/report.html").read_text()


def test_where_every_solver_raises_the_bug_is_told(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "step")
    arguments = ["toy/squares", "solvers={d: {use: iterative, iteration: toy-descent, fidelity: toy-least-squares}}"]
    done = toy("run", *arguments, "--out", "out")
    assert (done.code, list(Path().iterdir())) == (1, [])
    assert "ZeroDivisionError: there is a bug. This is a bug of wellposed or of a plugin" in done.errors


@pytest.mark.parametrize("command", ["run", "evaluate", "compare"])
def test_what_has_no_value_costs_only_the_monitor(spare: Any, command: str) -> None:
    Path("recipe.yaml").write_text(
        "data: toy-squares\noperator: toy-blur\nmetrics: [toy-psnr]\nmonitors: [objective, toy-psnr]\nsolvers:\n"
        "  plain: {use: iterative, iteration: toy-descent, fidelity: toy-least-squares, stop: {iterations: 3}}\n"
        "  descent: {use: iterative, iteration: toy-descent, fidelity: toy-least-squares, stop: {iterations: 3},\n"
        "    regularizer: spare-denoiser}\n"
    )
    done = spare(command, "recipe.yaml", "--out", "out", "--json")
    assert done.code == 0, done.errors
    assert done.errors.count("solver descent: the objective is not monitored, since Denoiser has no value") == 1
    lines = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    first = {line["solver"]: set(line) for line in lines if line.get("iteration") == 1}
    assert first == {
        "plain": {"solver", "sample", "iteration", "objective", "toy-psnr"},
        "descent": {"solver", "sample", "iteration", "toy-psnr"},
    }


@pytest.mark.parametrize("place", [["--out", "runs/out"], []])
def test_an_interrupted_run_goes_on_with_what_is_finished(
    toy: Any, monkeypatch: pytest.MonkeyPatch, place: list[str]
) -> None:
    command = ["evaluate", "toy/squares", "--samples", "4", *place]
    with monkeypatch.context() as patched:
        interrupted_at(patched, 3)
        done = toy(*command)
    assert done.code == 130
    (kept,) = Path("runs").glob(".*.samples")
    assert f"5 finished reconstructions are kept in {kept}; the same command goes on with them" in done.errors
    assert [path for path in Path("runs").iterdir() if path != kept] == []
    worked = counted(monkeypatch)
    done = toy(*command, "--json")
    assert done.code == 0, done.errors
    assert "going on with unfinished work: 5 reconstructions are done" in done.errors
    assert len(worked) == 2  # the third sample, where it was interrupted, and the fourth
    (run,) = Path("runs").iterdir()
    toy("evaluate", "toy/squares", "--samples", "4", "--out", "whole")
    assert figures(run) == figures(Path("whole"))


def test_what_was_kept_of_another_recipe_or_measurement_is_not_used(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["evaluate", "toy/squares", "--samples", "4", "--out", "out"]
    with monkeypatch.context() as patched:
        interrupted_at(patched, 3)
        assert toy(*command).code == 130
    worked = counted(monkeypatch)
    done = toy(*command, "noise.sigma=0.06")
    assert done.code == 0
    assert "going on" not in done.errors
    assert len(worked) == 4


def test_a_file_that_changed_meanwhile_is_worked_on_anew(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("y.npy", np.random.default_rng(0).random((2, 1, 24, 24), dtype=np.float32))
    document = load_recipe("toy/squares").model_copy(update={"data": {"use": "x", "path": "y.npy"}})
    before = mark_of(document, None)
    assert mark_of(document, None) == before
    assert mark_of(document, 3) != before
    np.save("y.npy", np.random.default_rng(1).random((3, 1, 24, 24), dtype=np.float32))
    assert mark_of(document, None) != before


def test_a_torn_file_of_the_journal_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "0.0.safetensors").write_bytes(b"torn")
    assert Journal(tmp_path).find(0, 0) is None


def test_random_numbers_of_a_sample_are_its_own(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that draws from the global generator gives the same, whatever ran before it."""
    adjoint = component("solvers", "toy-adjoint")
    plain = adjoint.forward
    monkeypatch.setattr(adjoint, "forward", lambda self, y, A: plain(self, y, A) + torch.randn_like(y))
    for samples, names in (("1", "a"), ("3", "b")):
        other = (
            "solvers={adjoint: toy-adjoint}" if names == "a" else "solvers={first: toy-adjoint, adjoint: toy-adjoint}"
        )
        assert toy("run", "toy/squares", other, f"samples={samples}", "--out", names).code == 0
    one, two = (np.load(f"{name}/reconstructions/square-0.adjoint.npy") for name in "ab")
    np.testing.assert_array_equal(one, two)


def interrupted_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """The user interrupts in the iteration of this sample."""
    descent = component("iterations", "toy-descent")
    begin, seen = descent.init, []

    def init(self: Any, problem: Any, x: Any = None) -> Any:
        seen.append(1)
        if len(seen) == call:
            raise KeyboardInterrupt
        return begin(self, problem, x)

    monkeypatch.setattr(descent, "init", init)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    descent = component("iterations", "toy-descent")
    begin, seen = descent.init, []

    def init(self: Any, problem: Any, x: Any = None) -> Any:
        seen.append(1)
        return begin(self, problem, x)

    monkeypatch.setattr(descent, "init", init)
    return seen


def figures(folder: Path) -> Any:
    rows = json.loads((folder / "results.json").read_text())["rows"]
    return [{**row, "seconds": 0} for row in rows], {
        path.name: path.read_bytes() for path in (folder / "reconstructions").iterdir()
    }
