"""Damaged data and weight files, by the hundred: each is read or refused in a sentence, quickly and in little memory.

The campaign of `WELLPOSED_MUTANTS` files (1,000 by default) is slow: `pytest -m slow tests/test_mutated_files.py -s`
prints its figures. Each file is read by the command itself, in a fork of this process that has the libraries already.
Required of each: exit code 0 or 2, one sentence and no traceback, at most 20 s, memory at most four times the file
and 500 MB, never an image of zeros or of what is no number, and where the format has a checksum no other image than
that of the whole file.
"""

from __future__ import annotations

import collections
import hashlib
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from command_line import run_command
from forked import Outcome, forked
from mutated_files import KINDS, mutated

COUNT = int(os.environ.get("WELLPOSED_MUTANTS", "1000"))
SECONDS = 20.0
#: Whose numbers have a checksum in the file: other numbers cannot be read without a word.
CHECKED = {"npz", "npz-stored", "mat5", "h5-packed", "nii.gz", "png", "tiff-packed", "photograph"}
ADDRESSES = 8_000_000_000


@dataclass(frozen=True)
class Answer:
    """What the command did with a file: exit code, what it said, what is wrong with its images, and their digest."""

    code: int
    errors: str
    images: str = ""
    digest: str = ""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the images from every undamaged file, read in this process, so that forks have the libraries."""
    folder, digests = tmp_path_factory.mktemp("whole"), {}
    for name, kind in KINDS.items():
        work = folder / name
        work.mkdir()
        kind.make(work / kind.file)
        answer = read_by(kind.command(work / kind.file, work / "out"), work / "out")
        assert (answer.code, answer.errors, answer.images) == (0, "", ""), name
        digests[name] = answer.digest
    return digests


def read_by(arguments: list[str], out: Path) -> Answer:
    done = run_command(*arguments)
    if done.code != 0:
        return Answer(done.code, done.errors)
    images = [np.load(path) for path in sorted((out / "reconstructions").iterdir())]
    return Answer(0, done.errors, fault_of(images), hashlib.sha256(b"".join(i.tobytes() for i in images)).hexdigest())


def fault_of(images: list[np.ndarray]) -> str:
    """What is wrong with the images of a run that ended well: nothing but zeros, or not numbers."""
    if not images:
        return "there are none"
    if not all(np.isfinite(image).all() for image in images):
        return "they hold what is no number"
    return "" if all(image.any() for image in images) else "they are zero everywhere"


def complaint(done: Outcome, size: int, digest: str) -> str:
    """What is wrong with how a file was read; empty where nothing is."""
    if done.timed_out:
        return f"hangs for {SECONDS} s"
    if done.signal:
        return f"crashes with signal {done.signal}"
    if not isinstance(done.value, Answer):
        return f"ends otherwise: {done.value}"
    answer = done.value
    if answer.code not in (0, 2):
        return f"exit code {answer.code}: {answer.errors}"
    if "Traceback" in answer.errors or "bug of wellposed" in answer.errors:
        return answer.errors
    if answer.code == 2 and not 20 <= len(answer.errors.strip()) <= 1500:
        return f"no sentence: {answer.errors!r}"
    if answer.images:
        return f"exit code 0 and its images: {answer.images}"
    if answer.code == 0 and digest not in ("", answer.digest):
        return "another image without a word, though the format has a checksum of its numbers"
    if done.growth > 4 * size + 500_000_000:
        return f"takes {done.growth / 1e6:.0f} MB for {size} bytes"
    return ""


def campaign(count: int, folder: Path, whole: dict[str, str]) -> tuple[list[str], collections.Counter[str], float, int]:
    """Complaints, how often each kind ended how, the longest time and the most memory of `count` damaged files."""
    complaints: list[str] = []
    ends: collections.Counter[str] = collections.Counter()
    slowest, largest = 0.0, 0
    for number in range(count):
        name = list(KINDS)[number % len(KINDS)]
        kind, rng = KINDS[name], random.Random(f"{name} {number}")
        work = folder / str(number)
        work.mkdir()
        path, out = work / kind.file, work / "out"
        kind.make(path)
        change, content = mutated(path.read_bytes(), rng)
        path.write_bytes(content)
        command = kind.command(path, out)
        done = forked(lambda command=command, out=out: read_by(command, out), SECONDS, ADDRESSES)
        wrong = complaint(done, len(content), whole[name] if name in CHECKED else "")
        if wrong:
            complaints.append(f"{name} {number} ({change}): {wrong}")
        ends[f"{name} {getattr(done.value, 'code', 'crash')}"] += 1
        slowest, largest = max(slowest, done.seconds), max(largest, done.growth)
        if not wrong:
            shutil.rmtree(work)
    return complaints, ends, slowest, largest


def told(count: int, folder: Path, whole: dict[str, str]) -> None:
    complaints, ends, slowest, largest = campaign(count, folder, whole)
    kinds = (f"{name}: {ends[f'{name} 0']} read, {ends[f'{name} 2']} refused" for name in KINDS)
    print(f"\n{count} files; slowest {slowest:.1f} s, most memory {largest / 1e6:.0f} MB; {len(complaints)} complaints")
    print("\n".join([*kinds, *complaints]))
    assert not complaints, "\n".join(complaints)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_few_damaged_files(whole: dict[str, str], tmp_path: Path) -> None:
    told(2 * len(KINDS), tmp_path, whole)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_campaign(whole: dict[str, str], tmp_path: Path) -> None:
    told(COUNT, tmp_path, whole)
