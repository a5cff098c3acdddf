"""Logs of JSON lines: appended to line by line, and read although a kill cut the last line short."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError


def append_line(path: Path, entry: Mapping[str, Any], *, durable: bool = False) -> None:
    """Add `entry` as a line of JSON; a line that was cut short before is taken out first.

    Where the line cannot be written (a full disk), the file is left as it was. `durable` waits for the disk.
    """
    line = (json.dumps(entry) + "\n").encode("utf-8")
    with path.open("ab+", buffering=0) as file:
        end = _end_of_last_line(file)
        file.truncate(end)
        try:
            while line:
                line = line[file.write(line) :]
            if durable:
                os.fsync(file.fileno())
        except OSError as error:
            file.truncate(end)
            error.filename = error.filename or str(path)
            raise


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a log, in their order; none where there is no file. A last line cut short is left out.

    Raises `InputError` where another line is no JSON.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(b"\n") + 1]
    try:
        return [_entry(line) for line in whole.splitlines()]
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}; put back a copy of it") from None


def _entry(line: bytes) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"a line of it is {line[:40]!r} and no object")
    return found


def _end_of_last_line(file: Any) -> int:
    """The position behind the last line break; read backwards, block by block."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - 4096)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0
