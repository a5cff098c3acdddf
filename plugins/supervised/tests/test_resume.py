"""A training that is killed ends, when it is called again, with the numbers of one that never was. Bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wellposed.training.checkpoint import NAME

TOY = Path(__file__).with_name("toy.py")


def run(folder: Path, *arguments: str) -> int:
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TOY), str(folder), *arguments]
    return subprocess.run(command, env=surroundings, capture_output=True, timeout=300).returncode


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert run(folder) == 0
    return folder


@pytest.mark.parametrize("kill", ["step-7", "write-8"])
def test_a_killed_training_goes_on_bitwise(uninterrupted: Path, tmp_path: Path, kill: str) -> None:
    assert run(tmp_path, kill) == -signal.SIGKILL
    assert (tmp_path / NAME).exists()
    assert (tmp_path / NAME).read_bytes() != (uninterrupted / NAME).read_bytes()
    assert run(tmp_path) == 0
    # Weights, optimiser state, step and metrics; and every line of the log.
    assert (tmp_path / NAME).read_bytes() == (uninterrupted / NAME).read_bytes()
    assert (tmp_path / "metrics.jsonl").read_bytes() == (uninterrupted / "metrics.jsonl").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in uninterrupted.iterdir())
