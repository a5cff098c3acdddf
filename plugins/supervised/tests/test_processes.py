"""Two processes over gloo, as `accelerate launch` starts them, train what one process trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wellposed.training.checkpoint import NAME

TOY = Path(__file__).with_name("toy.py")
#: `--cpu` would start a single process: accelerate leaves several on CPUs to MPI. The trainer itself sees that its
#: target is on the CPU, and takes gloo.
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
QUIET = ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]

pytestmark = pytest.mark.slow


def run(folder: Path, *arguments: str, processes: int = 1) -> int:
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    launch = [*LAUNCH, *QUIET] if processes == 2 else []
    command = [sys.executable, *launch, str(TOY), str(folder), *arguments]
    return subprocess.run(command, env=surroundings, capture_output=True, timeout=500).returncode


def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    assert run(tmp_path / "one", "step-0", "plain") == 0
    assert run(tmp_path / "two", "step-0", "plain", processes=2) == 0
    one, two = (load_file(tmp_path / name / NAME) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-3, atol=1e-5)
    assert len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) == 15  # written by one of the two


def test_two_killed_processes_go_on_bitwise(tmp_path: Path) -> None:
    assert run(tmp_path / "whole", processes=2) == 0
    assert run(tmp_path / "killed", "step-7", processes=2) != 0
    assert run(tmp_path / "killed", processes=2) == 0
    for name in (NAME, "metrics.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_command_line_trains_in_two_processes(tmp_path: Path) -> None:
    operator = "operator={use: parallel-beam, shape: [16, 16], angles: 8}"
    small = ["data.size=16", "training.data.size=16", "training.data.length=12", "samples=1"]
    pace = [f"training.trainer.{name}" for name in ("steps=4", "batch=2", "validation=4", "checkpoint_every=2")]
    recipe = ["train", "supervised/learned-primal-dual-half", operator, *small, *pace]
    command = [sys.executable, *LAUNCH, *QUIET, "-m", "wellposed", *recipe, "--out", str(tmp_path / "run")]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == 1  # one of the two measures and writes
    assert (tmp_path / "run" / "report.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
