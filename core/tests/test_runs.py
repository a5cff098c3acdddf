"""Run directories: complete or absent, whatever happens while they are written."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wellposed.errors import InputError
from wellposed.runs import FollowedRunDirectory, ResumableRunDirectory, RunDirectory, default_folder
from wellposed.runs.environment import environment
from wellposed.runs.json_text import json_text


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*")]


def write(target: Path, text: str, overwrite: bool = False) -> None:
    with RunDirectory(target, overwrite) as run:
        run.write_text("recipe.yaml", text)
        run.write_text("environment.json", "{}")


def write_and_stop(directory: RunDirectory) -> None:
    with directory as run:
        run.write_text("state", "half")
        raise KeyboardInterrupt


def gone_process() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_directory_appears_when_it_is_complete(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        run.write_json("deep/inside.json", {"a": (1, float("nan"))})
        assert not (tmp_path / "run").exists()
        assert hidden(tmp_path)
    assert json.loads((tmp_path / "run/deep/inside.json").read_text()) == {"a": [1, None]}
    assert hidden(tmp_path) == []


def test_permissions_are_those_of_a_new_folder(tmp_path: Path) -> None:
    write(tmp_path / "run", "")
    (tmp_path / "other").mkdir()
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_nothing_is_left_of_a_run_that_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(RunDirectory(tmp_path / "made/for/it/run"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_refused_before_any_work(tmp_path: Path) -> None:
    write(tmp_path / "run", "old")
    with pytest.raises(InputError, match="exists already; choose another --out or add --overwrite"):
        RunDirectory(tmp_path / "run").__enter__()
    assert (tmp_path / "run/recipe.yaml").read_text() == "old"


def test_overwriting_replaces_the_whole_run(tmp_path: Path) -> None:
    write(tmp_path / "run", "old")
    (tmp_path / "run/report.html").write_text("")
    write(tmp_path / "run", "new", overwrite=True)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"recipe.yaml", "environment.json"}
    assert (tmp_path / "run/recipe.yaml").read_text() == "new"
    assert hidden(tmp_path) == []


def test_overwriting_fails_safely(tmp_path: Path) -> None:
    write(tmp_path / "run", "old")
    with pytest.raises(ZeroDivisionError), RunDirectory(tmp_path / "run", overwrite=True):
        raise ZeroDivisionError
    assert (tmp_path / "run/recipe.yaml").read_text() == "old"


@pytest.mark.parametrize("beside", [["data"], ["recipe.yaml", "thesis.tex"], ["recipe.yaml"]])
def test_a_folder_that_holds_other_things_is_never_overwritten(tmp_path: Path, beside: list[str]) -> None:
    (tmp_path / "precious").mkdir()
    for name in beside:
        (tmp_path / "precious" / name).write_text("")
    with pytest.raises(InputError, match="holds other things than a run"):
        RunDirectory(tmp_path / "precious", overwrite=True).__enter__()


def test_a_run_with_something_put_into_it_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "run", "old")
    (tmp_path / "run/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other things than a run"):
        write(tmp_path / "run", "new", overwrite=True)
    assert (tmp_path / "run/notes.txt").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write(tmp_path / "run", "x")
    assert (tmp_path / "run/recipe.yaml").exists()


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="is a file"):
        RunDirectory(tmp_path / "run").__enter__()
    with pytest.raises(InputError, match="no run directory can be made"):
        RunDirectory(tmp_path / "run/inside").__enter__()


def test_two_runs_into_one_place_do_not_mix(tmp_path: Path) -> None:
    first, second = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run")
    first.__enter__()
    second.__enter__()
    first.write_text("recipe.yaml", "first")
    second.write_text("recipe.yaml", "second")
    first.__exit__(None, None, None)
    with pytest.raises(InputError, match="made by another run meanwhile"):
        second.__exit__(None, None, None)
    assert (tmp_path / "run/recipe.yaml").read_text() == "first"
    assert hidden(tmp_path) == []


def test_what_dead_processes_left_is_cleared_and_of_living_ones_kept(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        host = run.folder.name.removeprefix(".run.partial-").split("-")[0]
        (tmp_path / f".old.partial-{host}-{gone_process()}-abc").mkdir()
        (tmp_path / f".old.partial-elsewhere-{gone_process()}-abc").mkdir()
        (tmp_path / f".old.partial-{host}-{os.getpid()}-abc").mkdir()
    write(tmp_path / "second", "")
    assert sorted(hidden(tmp_path)) == sorted(p.name for p in tmp_path.glob(".old.*") if "abc" in p.name)
    assert len(hidden(tmp_path)) == 2


def test_a_run_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "other") as run:
        host = run.folder.name.removeprefix(".other.partial-").split("-")[0]
    old = tmp_path / f".run.replaced-{host}-{gone_process()}-abc" / "old"
    old.mkdir(parents=True)
    (old / "recipe.yaml").write_text("old")
    with pytest.raises(InputError, match="exists already"):
        RunDirectory(tmp_path / "run").__enter__()
    assert (tmp_path / "run/recipe.yaml").read_text() == "old"


def write_slowly(target: Path, overwrite: bool) -> None:
    with RunDirectory(target, overwrite) as run:
        for i in range(200):
            run.write_text(f"figures/{i}", "x")
            time.sleep(0.0005)
        run.write_text("recipe.yaml", "new")
        run.write_text("environment.json", "{}")


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_at_any_moment_it_is_complete_or_absent(tmp_path: Path, overwrite: bool) -> None:
    """Twenty writers are killed at moments spread over their work."""
    target = tmp_path / "run"
    context = multiprocessing.get_context("fork")
    outcomes = set()
    for i in range(20):
        if overwrite and not target.exists():
            write(target, "old")
        process = context.Process(target=write_slowly, args=(target, overwrite))
        process.start()
        time.sleep(0.011 * i)
        assert process.pid is not None
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        names = {p.name for p in target.iterdir()} if target.exists() else set()
        old = {"recipe.yaml", "environment.json"}
        assert names in (set(), old, {*old, "figures"})
        assert "figures" not in names or len(list((target / "figures").iterdir())) == 200
        outcomes.add(len(names))
        if not overwrite and target.exists():
            break
    write(target, "last", overwrite=True)
    assert hidden(tmp_path) == []
    assert outcomes


def test_unfinished_work_stays_for_the_next_attempt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(ResumableRunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    with ResumableRunDirectory(tmp_path / "run") as run:
        assert (run.folder / "state").read_text() == "half"
        run.write_text("recipe.yaml", "")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"state", "recipe.yaml"}
    assert hidden(tmp_path) == []


HOLD = """
import sys, time
from wellposed.runs import ResumableRunDirectory
run = ResumableRunDirectory(sys.argv[1])
run.__enter__()
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_process_does_not_work_on_the_same(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="at work"):
            ResumableRunDirectory(tmp_path / "run").__enter__()
        process.kill()
    with ResumableRunDirectory(tmp_path / "run") as run:
        run.write_text("recipe.yaml", "")
    assert hidden(tmp_path) == []


def test_the_other_processes_of_a_training_write_no_run(tmp_path: Path) -> None:
    with ResumableRunDirectory(tmp_path / "run") as run, FollowedRunDirectory(tmp_path / "run") as followed:
        assert followed.folder == run.folder
    with FollowedRunDirectory(tmp_path / "other"):
        pass
    assert not (tmp_path / "other").exists()


def test_default_folders_differ(tmp_path: Path) -> None:
    first = default_folder("physics/demo", tmp_path)
    first.mkdir()
    second = default_folder("physics/demo", tmp_path)
    assert first != second
    assert first.name.startswith("physics-demo-")
    assert default_folder("../..", tmp_path).parent == tmp_path


def test_json_has_no_numbers_that_json_does_not_know() -> None:
    assert json.loads(json_text({"a": [float("inf"), 1.5, None, True], "b": Path("x")})) == {
        "a": [None, 1.5, None, True],
        "b": "x",
    }
    with pytest.raises(TypeError, match="object"):
        json_text({"a": object()})


def test_the_environment_tells_versions_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hunter2-secret")
    found = environment(seed=4)
    assert {"torch", "numpy", "wellposed-core"} <= set(found["packages"])
    assert found["seed"] == 4
    assert found["threads"] >= 1
    text = json_text(found)
    assert "hunter2" not in text
    assert os.uname().nodename not in text
