"""Files that appear whole or not at all: the one place where the core and the plugins write."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import InputError

_PART = ".part"


@contextmanager
def atomic(path: str | Path) -> Iterator[IO[bytes]]:
    """A stream, also readable, whose content becomes the file `path` when the block ends well.

    It is written beside the file, brought to the disk and renamed, so that a killed process, a full disk or an
    error inside the block leaves the old file as it was. A killed process may leave a part, which `clear_parts`
    removes; everything else leaves nothing. A link is followed.
    Raises `InputError` where `path` is no ordinary file, and `OSError` with its name.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is no ordinary file and cannot be replaced by one; choose another name")
    part = target.with_name(f".{target.name[:50]}.{uuid.uuid4().hex[:8]}{_PART}")
    try:
        try:
            with part.open("x+b") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part)):
            error.filename = str(path)
        raise


def write_bytes(path: str | Path, content: bytes) -> None:
    """The file `path` with this content, whole or not at all (`atomic`)."""
    with atomic(path) as stream:
        stream.write(content)


def write_text(path: str | Path, text: str) -> None:
    """The file `path` with this text in UTF-8, whole or not at all (`atomic`)."""
    write_bytes(path, text.encode("utf-8"))


def clear_parts(folder: Path) -> None:
    """Remove from `folder`, and from the folders in it, what killed processes left half written."""
    for part in folder.rglob(f".*{_PART}"):
        part.unlink(missing_ok=True)
