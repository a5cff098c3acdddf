"""Kills at random times: the same command goes on, loses nothing that was finished, and ends as if it had never been.

`WELLPOSED_KILLS=1000 pytest -m slow tests/test_kills.py` kills so many times (default 100); `WELLPOSED_KILL_SEED`
draws other times (default 0). A failure names its seed and number.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

KILLS = int(os.environ.get("WELLPOSED_KILLS", "100"))
SEED = int(os.environ.get("WELLPOSED_KILL_SEED", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
#: A child of a shell in the background would ignore interruptions.
MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from wellposed.cli import main
main()
"""
RECIPE = """
data: {use: ellipses, size: 48, length: 6}
operator: {use: parallel-beam, shape: [48, 48], angles: 12}
noise: {use: gaussian, sigma: 0.02, relative_to: mean-abs}
solvers:
  FBP: filtered-backprojection
  TV: &tv
    use: iterative
    iteration: pdhg
    fidelity: {use: l2, weight: 0.2}
    regularizer: [{use: total-variation, weight: 0.2}, nonnegativity]
    stop: {iterations: 150, every: 10, rules: [{use: relative-change, tolerance: 1.0e-6}]}
metrics: [{use: psnr, data_range: 1.0}]
monitors: [objective]
samples: 6
"""
TRAIN = [
    "train",
    "supervised/learned-primal-dual-half",
    "operator={use: parallel-beam, shape: [16, 16], angles: 8}",
    *("data.size=16", "training.data.size=16", "training.data.length=24", "samples=2"),
    *(f"training.trainer.{each}" for each in ("steps=40", "batch=2", "validation=4", "checkpoint_every=7")),
]
RECONSTRUCT = ["reconstruct", "recipe.yaml", "--operator", "operator.yaml", "--measurement", "y.npy"]
COMMANDS = {
    "train": TRAIN,
    "run": ["run", "recipe.yaml"],
    "evaluate": ["evaluate", "recipe.yaml", "--samples", "5"],
    "compare": ["compare", "recipe.yaml", "recipe.yaml", "--samples", "3"],
    "reconstruct": RECONSTRUCT,
}


@dataclass(frozen=True)
class Whole:
    """A command that was never killed: what it left, and how long it took."""

    content: Any
    seconds: float


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "main.py").write_text(MAIN)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "operator.yaml").write_text("{use: parallel-beam, shape: [48, 48], angles: 12}")
    np.save(folder / "y.npy", np.random.default_rng(0).random((4, 1, 12, 69), dtype=np.float32))
    return folder


def start(place: Path, command: str, out: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "main.py", *COMMANDS[command], "--out", out],
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def content(run: Path) -> Any:
    """All that a run holds but times: figures of all rows, the bits of images and weights, the log of a training."""
    results = json.loads((run / "results.json").read_text())
    for row in [*results["results"], *results["rows"]]:
        row.pop("seconds")
    kept = [*run.glob("reconstructions/*.npy"), *run.glob("**/*.safetensors"), *run.glob("trainer/metrics.jsonl")]
    return results, {str(path.relative_to(run)): path.read_bytes() for path in sorted(kept)}


def finished(place: Path, out: str) -> tuple[int, int]:
    """How many reconstructions, and steps of a training, an unfinished run holds."""
    checkpoint, step = place / f".{out}.unfinished/trainer/checkpoint.safetensors", 0
    gone = contextlib.suppress(OSError, RuntimeError)  # there is none, or the run was completed meanwhile
    with gone, safe_open(str(checkpoint), framework="pt") as file:
        step = json.loads(file.metadata()["checkpoint"])["step"]
    return len(list((place / f".{out}.samples").glob("*.safetensors"))), step


def gone_on_with(errors: str) -> tuple[int, int]:
    """How many reconstructions, and steps, a command says that it goes on with."""
    images = re.search(r"going on with unfinished work: (\d+) reconstructions", errors)
    steps = re.search(r"going on at step (\d+) of", errors)
    return int(images.group(1)) if images else 0, int(steps.group(1)) if steps else 0


@pytest.fixture(scope="module")
def whole(place: Path) -> dict[str, Whole]:
    found = {}
    for command in COMMANDS:
        began = time.monotonic()
        process = start(place, command, f"whole-{command}")
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        found[command] = Whole(content(place / f"whole-{command}"), time.monotonic() - began)
    return found


@pytest.mark.slow
def test_kills_lose_nothing_and_change_no_number(place: Path, whole: dict[str, Whole]) -> None:
    rng, landed = random.Random(SEED), 0
    usual = {command: each.seconds for command, each in whole.items()}
    for number in range(KILLS):
        command, kind = list(COMMANDS)[number % len(COMMANDS)], rng.choice(SIGNALS)
        story = f"seed {SEED}, kill {number}: {command}, {kind.name}"
        process = start(place, command, "out")
        time.sleep(rng.uniform(0.3, 1.0) * usual[command])
        before = finished(place, "out")
        if process.poll() is None:
            landed += 1
        else:  # the machine has become faster, or the files are in its memory now
            usual[command] *= 0.8
        process.send_signal(kind)
        _, errors = process.communicate(timeout=60)
        kept = finished(place, "out")
        if not (place / "out").exists():
            assert kept >= before, f"{story}: {before} was finished, {kept} is kept\n{errors}"
            process = start(place, command, "out")
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, f"{story}\n{errors}"
            assert gone_on_with(errors) == kept, f"{story}\n{errors}"
        assert content(place / "out") == whole[command].content, story
        if process.returncode != 0:  # it was killed after its run was complete
            for rest in place.glob(".out.*"):
                shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
        assert list(place.glob(".*")) == [], story
        shutil.rmtree(place / "out")
    print(f"{KILLS} kills, {landed} of them while the command ran")
    assert landed >= KILLS // 2
