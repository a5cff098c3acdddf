"""Running the command line inside the test process, as the installed script does."""

from __future__ import annotations

import contextlib
import io
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output and standard error."""

    code: int
    output: str
    errors: str


def run_command(*arguments: str) -> Done:
    """Run `wellposed ARGUMENTS…` and catch what it prints and its exit code."""
    from wellposed.cli.boundary import run

    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = run(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)
    return Done(code, _text(output), _text(errors))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined]
