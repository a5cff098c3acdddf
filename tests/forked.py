"""Doing something in a forked process, with limits: what it ended with, what it said, how much memory it took."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Outcome:
    """How the process ended: its value, or the signal that ended it; seconds, and bytes that its memory grew by."""

    value: Any
    signal: int
    seconds: float
    growth: int

    @property
    def timed_out(self) -> bool:
        return self.signal == signal.SIGKILL


def forked(work: Callable[[], Any], seconds: float = 20.0, memory: int | None = None) -> Outcome:
    """`work()` in a child of this process, killed after `seconds`; `memory` bounds the growth of its address space.

    What is imported here is there already, so that a child takes milliseconds. Exceptions come back as their text.
    """
    reader, writer = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _in_child(work, writer, memory)
    os.close(writer)
    answer = _answer(reader, start + seconds)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    value, growth = pickle.loads(answer) if answer else (None, usage.ru_maxrss * 1024)
    return Outcome(value, ended, time.monotonic() - start, growth)


def _in_child(work: Callable[[], Any], writer: int, memory: int | None) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: a fork inherits pages of its parent
    before = _memory("VmRSS")
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if memory is not None:
                space = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE + memory
                resource.setrlimit(resource.RLIMIT_AS, (space, space))
            value = work()
    except BaseException:
        value = traceback.format_exc()
    with os.fdopen(writer, "wb") as stream:
        stream.write(pickle.dumps((value, _memory("VmHWM") - before)))
    os._exit(0)


def _answer(reader: int, deadline: float) -> bytes | None:
    """All that comes before the child ends; `None` where it does not end in time."""
    found = b""
    with os.fdopen(reader, "rb", buffering=0) as stream:
        while True:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            block = stream.read(1 << 16)
            if not block:
                return found
            found += block


def _memory(name: str) -> int:
    """Bytes that this process has (`VmRSS`), or had at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
