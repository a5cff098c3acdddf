"""Writing files whole or not at all, on full disks and through links, and logs that a kill cut short."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wellposed.errors import InputError
from wellposed.files import write_array
from wellposed.files.atomic import atomic, clear_parts, write_bytes, write_text
from wellposed.files.lines import append_line, json_lines
from wellposed.runs.json_text import write_json
from wellposed.training.checkpoint import Checkpoint
from wellposed.training.log import MetricsLog
from wellposed.weights import save_weights

BIG = np.random.default_rng(0).random((64, 64))  # 32 kB that do not pack
SMALL = 4096


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: the system itself refuses, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def write_checkpoint(path: Path) -> None:
    Checkpoint(1, {}, {"weights.x": torch.from_numpy(BIG)}).write(path.parent)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "a.npy": lambda p: write_array(p, BIG),
    "a.npz": lambda p: write_array(p, BIG),
    "a.mat": lambda p: write_array(p, BIG),
    "a.h5": lambda p: write_array(p, BIG),
    "a.tif": lambda p: write_array(p, BIG),
    "a.png": lambda p: write_array(p, (BIG * 255).astype(np.uint8).repeat(4, 0)),
    "a.json": lambda p: write_json(p, BIG.tolist()),
    "a.html": lambda p: write_text(p, "x" * 30_000),
    "a.safetensors": lambda p: save_weights(nn.Linear(64, 64), p),
    "checkpoint.safetensors": write_checkpoint,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")
    with room_for(SMALL), pytest.raises((OSError, InputError), match=r"File too large|cannot be written"):
        WRITERS[name](path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    WRITERS[name](path)
    assert path.stat().st_size > SMALL
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_of_any_step_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, refuse)
            with pytest.raises(OSError, match="No space left on device") as caught:
                write_text(path, "new")
        assert caught.value.filename == str(path), "the sentence names the file, not its part"
        assert path.read_text() == "old"
    with pytest.raises(TypeError), atomic(path) as stream:
        stream.writelines([b"half", None])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_followed_and_devices_refused(tmp_path: Path) -> None:
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    write_text(path, "old")
    link.symlink_to(path)
    write_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for special in (pipe, tmp_path):
        with pytest.raises(InputError, match="is no ordinary file"):
            write_bytes(special, b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "link.txt", "pipe"]


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".json")  # 255 bytes
    write_text(path, "x")
    assert list(tmp_path.iterdir()) == [path]


def test_parts_of_killed_processes_are_cleared(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with atomic(tmp_path / "deep.txt") as stream:
            stream.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (part,) = tmp_path.iterdir()
    assert part.name != "deep.txt"
    clear_parts(tmp_path.parent)
    assert not list(tmp_path.iterdir())


def test_lines_come_back_and_a_cut_one_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert json_lines(log) == []
    append_line(log, {"step": 1})
    append_line(log, {"step": 2, "text": "ü" * 5000}, durable=True)
    whole = log.read_bytes()
    for cut in (1, 7, 6000, len(whole) - 3):
        log.write_bytes(whole[: len(whole) - cut])
        assert [e["step"] for e in json_lines(log)] == ([1] if cut < len(whole) - 12 else [])
        append_line(log, {"step": 3})
        assert json_lines(log)[-1] == {"step": 3}
        assert len(json_lines(log)) == (2 if cut < len(whole) - 12 else 1)


@pytest.mark.parametrize("content", [b'{"step": 1}\n\x00\x00\n', b"[1]\n", b'{"a": 1\n{"a": 2}\n', b"\xff\n"])
def test_damage_that_no_kill_leaves_is_told(content: bytes, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(content)
    with pytest.raises(InputError, match=r"log.jsonl is damaged"):
        json_lines(log)


def test_a_line_for_which_there_is_no_room_is_not_half_there(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append_line(log, {"step": 1})
    before = log.read_bytes()
    with room_for(len(before) + 10), pytest.raises(OSError, match="File too large") as caught:
        append_line(log, {"step": 2, "text": "x" * 100})
    assert caught.value.filename == str(log)
    assert log.read_bytes() == before
    append_line(log, {"step": 2})
    assert [e["step"] for e in json_lines(log)] == [1, 2]


def test_the_log_of_a_training_goes_on_after_any_cut(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.begin(0)
    for step in (1, 2, 3):
        log.write(step, {"loss": 1 / step})
    whole = log.path.read_bytes()
    for cut in range(len(whole)):
        log.path.write_bytes(whole[:cut] + b"\xff"[: cut % 2])
        MetricsLog(tmp_path).begin(3)
        MetricsLog(tmp_path).write(4, {"loss": 0.1})
        steps = [entry["step"] for entry in json_lines(log.path)]
        assert steps == [*range(1, len(steps)), 4]
