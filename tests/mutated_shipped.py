"""Shipped recipes changed at random, and a worker that runs them beside stand-ins for the files that they name."""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Document = dict[str, Any]
#: What multiplies the work.
WORK = {
    "steps",
    "mean_steps",
    "covariance_steps",
    "iterations",
    "evaluations",
    "layers",
    "batch",
    "reuse",
    "samples",
    "validation",
}
#: Address space of the worker, in bytes; seconds of one command on a processor, and at most by the clock.
MEMORY, TIME, CLOCK = 12 << 30, 20.0, 300.0
NUMBERS = [0, -1, 1, 2, 3, 7, 0.5, -0.5, 1e-30, 1e30, 1e308, -1e308, float("nan"), float("inf"), 10**9, 2**63, 2**70]
OTHERS: list[Any] = ["", "x", "none", None, True, [], {}, [0], [1, 2], {"use": "l2"}, "\x1b[31m", "nowhere/at.all", "."]


def stand_ins(folder: Path) -> None:
    """Small files in the place of those that the recipes name."""
    import scipy.io
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("Set11", "T91", "images", "brain/test", "brain/train"):
        (folder / name).mkdir(parents=True)
        for i in range(4):
            pixels = (255 * rng.random((72, 72))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / "admmnet_cardiac_train100").mkdir()
    for i in range(24):
        scipy.io.savemat(folder / f"admmnet_cardiac_train100/{i:02}.mat", {"im_ori": rng.random((36, 36))})
    kspace = np.fft.fftshift(np.fft.fft2(rng.random((4, 48, 48))), axes=(-2, -1)).astype(np.complex64)
    np.save(folder / "cartesian_ksp.npy", kspace)
    scipy.io.savemat(folder / "brain_alias_8ch.mat", {"DATA": kspace.transpose(1, 2, 0)})
    views = rng.random((100, 560))
    for name, start in [(f"tb_limited_{n}", n) for n in (40, 50, 60, 70, 80, 90)] + [("ta_category7_30deg", 60)]:
        parameters = {
            "projectName": f"htc2022_{name[:2]}_",
            "angles": np.arange(start - 30, start) * 0.5,
            "distanceSourceOrigin": 410.66,
            "distanceSourceDetector": 553.74,
            "pixelSizePost": 0.2,
            "effectivePixelSizePost": 0.1483,
        }
        scan = {"type": "2d", "sinogram": views[start - 30 : start], "parameters": parameters}
        scipy.io.savemat(folder / f"htc2022_{name}.mat", {"CtDataLimited": scan})
    material = Image.fromarray((255 * (rng.random((64, 64)) > 0.5)).astype(np.uint8))
    for name in ("ta", "tb"):
        material.save(folder / f"htc2022_{name}_groundtruth_seg.png")
    Image.fromarray((1000 + 100 * rng.random((40, 490))).astype(np.float32)).save(
        folder / "sinogram_360_neutron_image.tif"
    )
    angles = np.linspace(0, np.pi, 40, endpoint=False)
    scipy.io.savemat(folder / "RealDataDend.mat", {"sinoRD": rng.random((90, 40)), "anglesRad": angles})
    np.save(folder / "codes.npy", rng.standard_normal((500, 6)))
    scipy.io.savemat(folder / "matrix.mat", {"D": rng.standard_normal((250, 500))})


def small(document: Document) -> Document:
    """The recipe with little work: one sample, few iterations and steps, small measured data."""
    document = copy.deepcopy(document)
    document["samples"] = 1
    for node in _mappings(document):
        for name, most in (("iterations", 4), ("size", 48), ("reduce_bins", 2), ("view_step", 4), ("evaluations", 6)):
            if type(node.get(name)) is int and (name != "size" or node.get("use") in ("htc2022", "sinogram-file")):
                node[name] = min(node[name], most)
        if "validation" in node:
            node["validation"] = min(node["validation"], 2)
        for name, most in (("steps", 3), ("mean_steps", 2), ("covariance_steps", 2), ("batch", 1)):
            if type(node.get(name)) is int:
                node[name] = min(node[name], most)
        if node.get("use") == "layer-wise":
            node.update(stage_steps=[1, 1, 1], batch=2)
        if type(node.get("length")) is int:
            node["length"] = min(node["length"], 40)
    return document


def mutated(document: Document, rng: random.Random) -> Document:
    """One to three random changes."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 2, 3])):
        rng.choice(CHANGES)(document, rng)
    for node in _mappings(document):  # much work that was asked for is no hang
        for name in WORK & node.keys():
            if type(node[name]) is int:
                node[name] = min(node[name], 8)
    return document


def _other_value(document: Document, rng: random.Random) -> None:
    owner, key = rng.choice(list(_places(document)))
    number = isinstance(owner[key], int | float) and rng.random() < 0.8
    owner[key] = copy.deepcopy(rng.choice(NUMBERS if number else [*NUMBERS, *OTHERS]))


def _scaled(document: Document, rng: random.Random) -> None:
    numbers = [(o, k) for o, k in _places(document) if type(o[k]) in (int, float)]
    if numbers:
        owner, key = rng.choice(numbers)
        owner[key] = type(owner[key])(owner[key] * rng.choice([-1, 0, 0.1, 2, 10]))


def _taken_out(document: Document, rng: random.Random) -> None:
    owner, key = rng.choice(list(_places(document)))
    del owner[key]


def _swapped(document: Document, rng: random.Random) -> None:
    (one, i), (two, j) = (rng.choice(list(_places(document))) for _ in range(2))
    one[i], two[j] = copy.deepcopy(two[j]), copy.deepcopy(one[i])


def _misspelt(document: Document, rng: random.Random) -> None:
    mappings = [node for node in _mappings(document) if node]
    node = rng.choice(mappings)
    key = rng.choice(list(node))
    node[f"{key}{rng.choice('sx_ 1')}"] = node.pop(key)


def _doubled(document: Document, rng: random.Random) -> None:
    lists = [o[k] for o, k in _places(document) if isinstance(o[k], list) and o[k]]
    if lists:
        chosen = rng.choice(lists)
        chosen.append(copy.deepcopy(rng.choice(chosen)))


CHANGES: list[Callable[[Document, random.Random], None]] = [
    *[_other_value] * 4,
    *[_scaled] * 2,
    _taken_out,
    _swapped,
    _misspelt,
    _doubled,
]


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each key or position inside it."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _mappings(node: Any) -> Iterator[Document]:
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _mappings(value)


@dataclass(frozen=True)
class Ending:
    """How a command ended; `code` is `None` where it was still at work after its time."""

    code: int | None
    errors: str
    seconds: float


class Worker:
    """A process that runs one command after another, in a bounded address space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: list[str]) -> Ending:
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        began = time.monotonic()
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        before = _processor_seconds(process.pid)

        def look(number: int, frame: object) -> None:
            if _processor_seconds(process.pid) - before > TIME or time.monotonic() - began > CLOCK:
                raise TimeoutError

        previous = signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, TIME, 1.0)
        try:
            line = process.stdout.readline()
        except TimeoutError:
            self.stop()
            return Ending(None, "", time.monotonic() - began)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        seconds = time.monotonic() - began
        if not line:  # a crash
            self._process = None
            return Ending(process.wait(), "the process is gone", seconds)
        code, errors = json.loads(line)
        return Ending(code, errors, seconds)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()  # everything is imported
        return process


def _processor_seconds(process: int) -> float:
    """The time that a process has worked: other load on the machine does not count."""
    times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def serve() -> None:
    """Run the commands that come in, a line of JSON each, and answer with exit code and standard error."""
    from command_line import run_command

    import wellposed.training.session  # noqa: F401 - its import is not counted as a command's time

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print, too
    run_command("list")
    print(file=answers, flush=True)
    for line in sys.stdin:
        done = run_command(*json.loads(line))
        print(json.dumps([done.code, done.errors]), file=answers, flush=True)


if __name__ == "__main__":
    serve()
