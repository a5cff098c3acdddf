"""Running the command line inside the test process, as the installed script does."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output and standard error."""

    code: int
    output: str
    errors: str


def run_command(*arguments: str) -> Done:
    """Run `wellposed ARGUMENTS…` and catch what it prints and its exit code."""
    from wellposed.cli import main

    output, errors = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return Done(code, output.getvalue(), errors.getvalue())
