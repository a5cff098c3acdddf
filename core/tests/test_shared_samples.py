"""Several processes, started by torchrun, share the samples of one run and leave what one process leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellposed.runs.processes import place_among

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
#: A solver that draws from torch's global generator, one that raises on the samples of one process or of all, and a
#: dataset of which one sample cannot be read.
EXTRA = """
import os
import torch
from wellposed.solver import DirectSolver
from wellposed_toy.components import Squares

class Noisy(DirectSolver):
    '''A* y with noise of the global generator.'''
    source = "a test"
    def forward(self, y, operator):
        return operator.adjoint(y) + 0.01 * torch.randn_like(y)

class Raising(DirectSolver):
    '''A* y, and a bug where the process has the number `rank`.'''
    source = "a test"
    def __init__(self, rank: str = "1"):
        super().__init__()
        self.rank = rank
    def forward(self, y, operator):
        if self.rank in ("all", os.environ.get("RANK", "0")):
            raise KeyError("a bug")
        if self.rank == "dies" and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), 9)
        return operator.adjoint(y)

class Torn(Squares):
    def __getitem__(self, index):
        if index == 3:
            raise OSError("torn")
        return super().__getitem__(index)
"""


@pytest.fixture
def extra(toy: Any) -> Any:
    points = {"noisy": "toy_extra:Noisy", "raising": "toy_extra:Raising"}
    groups = {"wellposed.solvers": points, "wellposed.datasets": {"torn": "toy_extra:Torn"}}
    toy.install("toy-extra", groups, {"toy_extra": EXTRA})
    return toy


def start(processes: int, *arguments: str) -> subprocess.Popen[str]:
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    Path("main.py").write_text(f"{heed}\nfrom wellposed.cli import main\nmain()\n")
    launch = LAUNCH if processes > 1 else [sys.executable]
    count = ["--nproc-per-node", str(processes)] if processes > 1 else []
    return subprocess.Popen(
        [*launch, *count, "main.py", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, output, errors


def content(folder: str) -> dict[str, Any]:
    """What a run holds, without times, and the bits of its images."""
    results = json.loads(Path(folder, "results.json").read_text())
    for row in [*results["results"], *results["rows"]]:
        row.pop("seconds")
    images = {path.name: path.read_bytes() for path in Path(folder, "reconstructions").iterdir()}
    lines = [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]
    return {"results": results, "images": images, "lines": [{**line, "seconds": 0} for line in lines]}


@pytest.mark.parametrize(("processes", "samples"), [(2, 5), pytest.param(3, 2, marks=pytest.mark.slow)])
def test_processes_share_the_samples_and_leave_one_run(extra: Any, processes: int, samples: int) -> None:
    arguments = ["evaluate", "toy/squares", "solvers.noisy=noisy", "--samples", str(samples), "--out"]
    assert finish(start(1, *arguments, "one"))[0] == 0
    code, output, errors = finish(start(processes, *arguments, "several"))
    assert code == 0, errors
    assert output.count("report: ") == 1
    assert content("one") == content("several")
    assert [path.name for path in Path().glob(".*")] == []


@pytest.mark.slow
def test_compare_and_reconstruct_share_too(extra: Any) -> None:
    np.save("y.npy", np.random.default_rng(0).random((3, 1, 24, 24), dtype=np.float32))
    own = ["reconstruct", "--operator", "toy-blur", "--measurement", "y.npy", "--solver", "toy-adjoint"]
    for arguments in (
        ["compare", "toy/squares", "toy/learned", "--samples", "3"],
        [*own, "--save", "saved.npy"],
    ):
        assert finish(start(1, *arguments, "--out", "one", "--overwrite"))[0] == 0
        code, output, errors = finish(start(2, *arguments, "--out", "two", "--overwrite"))
        assert code == 0, errors
        assert output.count("report: ") == 1
        assert content("one") == content("two")


def test_a_failure_in_one_process_costs_its_own_result_alone(extra: Any) -> None:
    arguments = ["evaluate", "toy/squares", "data=torn", "solvers.raising=raising", "--samples", "5", "--out", "out"]
    code, output, errors = finish(start(2, *arguments))
    assert code != 0
    assert output.count("report: ") == 1
    results = json.loads(Path("out/results.json").read_text())
    assert [entry["samples"] for entry in results["results"]] == [4, 4, 3]
    assert results["failures"] == [{"solver": "raising", "sample": "square-1", "reason": "KeyError: 'a bug'"}]
    assert results["left_out"] == [{"sample": "sample 3", "reason": "OSError: torn"}]
    assert "raising: failed (square-1). KeyError: 'a bug'" in errors


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["all", "dies"])
def test_no_process_waits_for_one_that_ended(extra: Any, rank: str) -> None:
    """Whether the work fails everywhere, or one process is killed in its midst."""
    solvers = f"solvers={{raising: {{use: raising, rank: {rank}}}}}"
    began = time.monotonic()
    code, _, errors = finish(start(2, "evaluate", "toy/squares", solvers, "--samples", "4", "--out", "out"))
    assert code != 0
    assert time.monotonic() - began < 60
    assert not Path("out").exists()
    assert rank == "dies" or "a bug" in errors


@pytest.mark.slow
def test_a_folder_that_exists_ends_all(extra: Any) -> None:
    Path("out").mkdir()
    Path("out/mine").touch()
    code, _, errors = finish(start(2, "evaluate", "toy/squares", "--samples", "4", "--out", "out"))
    assert code != 0
    assert "exists already" in errors


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_all_and_the_same_command_goes_on(extra: Any, number: signal.Signals) -> None:
    slow = "solvers.descent={use: iterative, iteration: {use: toy-descent, pause: 0.1}, fidelity: toy-least-squares,"
    arguments = ["evaluate", "toy/squares", f"{slow} stop: {{iterations: 10}}}}", "--samples", "6", "--out"]
    process = start(2, *arguments, "out")
    kept = Path(".out.samples")
    while len(list(kept.glob("*.1.safetensors"))) < 2:  # each process has done its first sample
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, number)
    began = time.monotonic()
    code, _, errors = finish(process)
    assert time.monotonic() - began < 45
    assert code != 0
    assert "finished reconstructions are kept in .out.samples; the same command goes on" in errors
    done = len(list(kept.glob("*.safetensors")))
    assert done >= 4
    code, _, errors = finish(start(2, *arguments, "out"))
    assert code == 0, errors
    assert f"going on with unfinished work: {done} reconstructions are done" in errors
    assert finish(start(1, *arguments, "whole"))[0] == 0
    assert content("out") == content("whole")
    assert [path.name for path in Path().glob(".*")] == []


def test_who_wanted_several_and_got_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`accelerate launch --cpu --num_processes 2` sets these, and starts one process."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.warns(UserWarning, match=r"started one process.*torchrun --nproc-per-node"):
        assert place_among() == (0, 1)
