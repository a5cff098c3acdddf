"""The edge of the command line: every failure becomes one or two sentences on stderr and an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence

from ..errors import WellposedError, memory_wanted
from ..plain_text import on_one_line
from .output import say
from .terminal import guarded_streams

BAD_INPUT, FAILED, INTERRUPTED, TERMINATED = 2, 1, 130, 143


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code. `--debug`, anywhere, shows tracebacks."""
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with guarded_streams(), warnings.catch_warnings(), _polite_kill():
        if debug:
            logging.basicConfig()
            logging.getLogger("wellposed").setLevel(logging.DEBUG)
        else:
            _quieten()
        try:
            return _dispatch([a for a in arguments if a != "--debug"])
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            text, code = explain(error)
            if text:
                _say(text)
            return code


def _dispatch(arguments: Sequence[str]) -> int:
    from ..registry.installed import read_installed, spare_libraries
    from .app import app

    spare_libraries(read_installed())
    code = app(arguments, prog_name="wellposed", standalone_mode=False)
    sys.stdout.flush()
    if code == INTERRUPTED:  # typer turns Ctrl-C into this code and says nothing
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def explain(error: BaseException) -> tuple[str, int]:
    """What is said of an exception, and the exit code."""
    if isinstance(error, WellposedError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return "interrupted; nothing was left half done", INTERRUPTED
    if hasattr(error, "format_message"):  # typer's usage errors, under whichever name it keeps click
        said = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        return f"{said}{'' if said.endswith('?') else '.'} `wellposed --help` shows how it is used", BAD_INPUT
    if isinstance(error, BrokenPipeError):
        return "", FAILED
    wanted = memory_wanted(error)
    if wanted is not None:
        return f"the memory does not suffice{wanted}. Take smaller images or batches", FAILED
    if isinstance(error, OSError):
        return _of_system(error), FAILED
    return (
        f"{type(error).__name__}: {_reason(error)}. This is a bug of wellposed or of a plugin; "
        f"run again with --debug for the traceback"
    ), FAILED


def _of_system(error: OSError) -> str:
    place = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{place}; make room or choose another --out. Nothing was left half done"
    return f"{(error.strerror or _reason(error)).lower()}{place}"


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if len(text) <= 300 else f"{text[:297]}…"


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody is left to be told
        say(f"wellposed: {on_one_line(text)}", err=True)


def _quieten() -> None:
    """Warnings of this package and of plugins as one line each; those of libraries to programmers not at all."""
    if sys.warnoptions:
        return
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", category=UserWarning, module=r"wellposed")
    warnings.showwarning = lambda message, *_: _say(str(message))  # type: ignore[assignment]


@contextlib.contextmanager
def _polite_kill() -> Iterator[None]:
    """While a command runs, SIGTERM unwinds it, so that what was begun is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(TERMINATED)
