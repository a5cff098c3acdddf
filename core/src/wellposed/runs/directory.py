"""A run directory appears complete or not at all, whenever the process is killed.

Everything is written into a hidden sibling on the same file system, which is renamed at the end. A rename
is atomic, so a reader of `runs/` never sees half a run.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from ..errors import InputError
from ..files.atomic import clear_parts, write_text
from .json_text import write_json


class RunDirectory:
    """Context manager: write into `folder`, and the directory stands at `target` when the block ends well.

    Where the block raises, what was written is removed. Where the process is killed, what was written
    stays hidden as `.NAME.partial-…` until the next run into the same place clears it away. `overwrite`
    replaces an existing run, at the end and not before.

    Raises `InputError` where `target` exists already, and where the place cannot be written to.
    """

    def __init__(self, target: str | Path, overwrite: bool = False) -> None:
        self.target = Path(target).absolute()
        self.overwrite = overwrite
        if not self.target.name:
            raise InputError(f"{str(target)!r} cannot be a run directory; name a folder to be made")
        self.folder = self.target
        self._made: list[Path] = []

    def __enter__(self) -> RunDirectory:
        try:
            self._made = [p for p in self.target.parents if not p.exists()]
            self.target.parent.mkdir(parents=True, exist_ok=True)
            clear_stale(self.target.parent)
            self._refuse_existing()
            self.folder = self._open()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"no run directory can be made at {self.target}: {reason}; choose another --out") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._publish()
        except BaseException:
            self._abandon()
            raise

    def path(self, *parts: str) -> Path:
        """A file inside the run, its folder made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, name: str, text: str) -> None:
        write_text(self.path(name), text)

    def write_json(self, name: str, value: Any) -> None:
        write_json(self.path(name), value)

    def _open(self) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{_partial(self.target.name)}-", dir=self.target.parent))

    def _abandon(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # folders made for this run alone, innermost first, while they are empty
            for folder in self._made:
                folder.rmdir()

    def _publish(self) -> None:
        _share(self.folder)
        if self.overwrite and self.target.exists():
            self._replace()
            return
        try:
            os.rename(self.folder, self.target)
        except OSError as error:
            if self.target.exists():
                raise InputError(f"{self.target} was made by another run meanwhile; run again") from error
            raise

    def _replace(self) -> None:
        """Swap the old run for the new one; between the two renames the old one is found by `clear_stale`."""
        old = Path(tempfile.mkdtemp(prefix=f"{_replaced(self.target.name)}-", dir=self.target.parent)) / "old"
        os.rename(self.target, old)
        try:
            os.rename(self.folder, self.target)
        except BaseException:
            os.rename(old, self.target)
            raise
        finally:
            shutil.rmtree(old.parent, ignore_errors=True)

    def _refuse_existing(self) -> None:
        if not self.target.exists():
            return
        if not self.target.is_dir():
            raise InputError(f"{self.target} is a file; a run is written into a folder of its own")
        occupied = any(self.target.iterdir())
        if occupied and not self.overwrite:
            raise InputError(f"{self.target} exists already; choose another --out or add --overwrite")
        if occupied and not _is_run(self.target):
            raise InputError(
                f"{self.target} holds other things than a run and is not overwritten. Choose another --out"
            )


class ResumableRunDirectory(RunDirectory):
    """A run directory whose unfinished work stays, hidden, for the next attempt to go on from.

    The working folder is `.NAME.unfinished`. One process at a time works in it; a second one is refused. The lock
    `.NAME.lock` is the operating system's, so that it falls with the process that holds it, on whatever machine.
    """

    def _open(self) -> Path:
        self._lock = FileLock(self.target.parent / f".{self.target.name}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another process is at work on {self.target}; wait for it or choose another --out"
            ) from None
        folder = unfinished(self.target)
        folder.mkdir(exist_ok=True)
        clear_parts(folder)
        return folder

    def _abandon(self) -> None:
        self._unlock()

    def _publish(self) -> None:
        super()._publish()
        self._unlock()

    def _unlock(self) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


class FollowedRunDirectory(RunDirectory):
    """The resumable run directory of another process, as the others of one training see it: made by none of them."""

    def __enter__(self) -> FollowedRunDirectory:
        self.folder = unfinished(self.target)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def unfinished(target: Path) -> Path:
    """Where the unfinished work for the run directory `target` lies."""
    return target.parent / f".{target.name}.unfinished"


def _is_run(folder: Path) -> bool:
    """Whether `folder` holds a run and nothing that a run does not write: only then may it be replaced."""
    names = {path.name for path in folder.iterdir()}
    strange = [name for name in names if name not in _ENTRIES and not name.endswith(".safetensors")]
    return {"recipe.yaml", "environment.json"} <= names and not strange


def default_folder(recipe: str, root: str | Path = "runs") -> Path:
    """`runs/<recipe>-<date>-<time>`, with a number behind it where that is taken."""
    stem = re.sub(r"[^\w.+-]+", "-", recipe).strip("-.") or "run"
    base = Path(root) / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    folder, number = base, 2
    while folder.exists():
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder


def clear_stale(parent: Path) -> None:
    """Remove from `parent` what killed processes of this machine left; bring back a run half replaced."""
    for folder in list(parent.glob(".*")):
        match = _LEFT_OVER.match(folder.name)
        if match is None or not _dead(match["owner"]):
            continue
        old, target = folder / "old", parent / match["name"]
        if match["sort"] == "replaced" and old.exists() and not target.exists():
            os.rename(old, target)
        shutil.rmtree(folder, ignore_errors=True)


#: What runs write beside weights.
_ENTRIES = frozenset(
    {
        "begun.json",
        "environment.json",
        "figures",
        "metrics.jsonl",
        "recipe.yaml",
        "reconstructions",
        "report.html",
        "results.json",
        "stability.json",
        "trainer",
    }
)
_LEFT_OVER = re.compile(r"^\.(?P<name>.+)\.(?P<sort>partial|replaced)-(?P<owner>\w+-\d+)-\w+$")


def _partial(name: str) -> str:
    return f".{name}.partial-{_me()}"


def _replaced(name: str) -> str:
    return f".{name}.replaced-{_me()}"


def _me() -> str:
    host = re.sub(r"[^\w]+", "_", socket.gethostname())
    return f"{host}-{os.getpid()}"


def _dead(owner: str) -> bool:
    """Whether the process `host-pid` is of this machine and gone; unknown counts as alive."""
    host, _, pid = owner.rpartition("-")
    if host != _me().rpartition("-")[0] or os.name != "posix":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _share(folder: Path) -> None:
    """Give the folder the permissions of a new one (temporary ones are private)."""
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
