"""Errors of files as sentences: whatever a reading library raises names the file and the format."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from .formats import DICOM_FOLDER, READABLE, Format, format_of

#: Keys named in one error sentence.
_SHOWN = 12


def existing(path: Path) -> Format:
    """The format of a file or folder that is there, is not empty and can be read; raises `InputError`."""
    try:
        if path.is_dir():
            return DICOM_FOLDER
        if not path.exists():
            if path.is_symlink():
                raise InputError(f"{path} is a link to {path.readlink()}, which does not exist")
            raise InputError(f"there is no file {path}{_nearby(path)}")
        form = format_of(path)
        if form is None:
            raise InputError(f"{path} has no extension that can be read; those are {' '.join(READABLE)}")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty: it has 0 bytes")
        return form
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {reason(error)}") from error


@contextmanager
def reading(path: Path, name: str) -> Iterator[None]:
    """Turn every failure inside into an `InputError` that names the file; running out of memory stays as it is."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except PermissionError as error:
        raise InputError(f"{path} cannot be opened: {reason(error)}") from error
    except OSError as error:
        if error.errno == errno.ENOMEM:  # of a file mapped into memory
            raise MemoryError(f"{path} takes more memory than there is") from error
        raise _unreadable(path, name, error) from error
    except Exception as error:
        raise _unreadable(path, name, error) from error


def _unreadable(path: Path, name: str, error: Exception) -> InputError:
    return InputError(f"{path} cannot be read as {name}; it is damaged or of another format ({reason(error)})")


def choose(path: Path, key: str | None, keys: Iterable[str], what: str = "arrays") -> str:
    """The asked-for key, or the only one there is; raises `InputError` with the keys of the file."""
    keys = list(keys)
    if not keys:
        raise InputError(f"{path} holds no {what}")
    if key is None:
        if len(keys) == 1:
            return keys[0]
        raise InputError(f"{path} holds {len(keys)} {what}; name one as key: {listing(keys)}")
    if key in keys:
        return key
    raise missing(path, key, keys)


def missing(path: Path, key: str, keys: Iterable[str]) -> InputError:
    return InputError(f"{path} holds no {key!r}; its keys are {listing(keys)}")


def listing(keys: Iterable[str]) -> str:
    keys = list(keys)
    rest = f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + rest


def reason(error: BaseException) -> str:
    """The library's own message on one line, cut where it goes on and on."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return (text[:200] + "…" if len(text) > 200 else text) or type(error).__name__


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir() if p.exists()], n=1, cutoff=0.6)
    return f"; {near[0]} lies beside it" if near else ""
