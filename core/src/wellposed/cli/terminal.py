"""The streams of the command line: no text of a file, recipe, plugin or library steers the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ..plain_text import visible_but_colours


class GuardedStream:
    """A text stream on which control characters are spelt out, whoever writes.

    Colours pass, for the libraries that print help and progress set them. What this package prints itself is spelt
    out entirely before (`output.say`, `output.console`) and goes to `unguarded`.
    """

    def __init__(self, stream: Any) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        self.unguarded.write(visible_but_colours(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard standard output and standard error inside the block; one that was closed leads nowhere."""
    before = sys.stdout, sys.stderr
    nowhere = [open(os.devnull, "w", encoding="utf-8") for stream in before if stream is None]  # noqa: SIM115
    sys.stdout, sys.stderr = (GuardedStream(nowhere[0] if s is None else s) for s in before)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in nowhere:
            stream.close()
        for stream in before:
            if stream is not None:
                _settle(stream)


def _settle(stream: Any) -> None:
    """Bring out what is buffered; where nobody reads any more, let it go nowhere, or Python complains at its end."""
    try:
        stream.flush()
    except BrokenPipeError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def unguarded(stream: Any) -> TextIO:
    """The stream below a guarded one, for text that is spelt out already."""
    return stream.unguarded if isinstance(stream, GuardedStream) else stream
