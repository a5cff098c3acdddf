"""Finished reconstructions of a run that is not complete, in files: what an interruption leaves to go on from.

Each outcome is one file, complete or not there at all, so that several processes may write into one folder and a
killed run goes on where it stopped, with the same results.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..experiment.outcome import Done, Failed, Outcome, Outcomes
from ..experiment.results import Row
from ..files.atomic import clear_parts, write_bytes, write_text
from ..solution import Verdict

_ABOUT, _DONE, _FAILED = "about.json", ".safetensors", ".failed.json"


class Journal(Outcomes):
    """Outcomes in `folder`, written as they are found and read when they are gathered."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def keep(self, index: int, number: int, outcome: Outcome, digest: str = "") -> None:
        if isinstance(outcome, Failed):
            self._write(self._path(index, number, _FAILED), json.dumps(asdict(outcome)).encode())
            return
        tensors = {} if outcome.image is None else {"image": outcome.image.contiguous()}
        # One entry: safetensors writes several in an order that changes from process to process.
        about = {"outcome": json.dumps({"digest": digest, "row": _document(outcome.row)})}
        self._write(self._path(index, number, _DONE), save(tensors, metadata=about))

    def find(self, index: int, number: int) -> Outcome | None:
        done = self._read(index, number)
        if done is not None:
            return done[0]
        path = self._path(index, number, _FAILED)
        return Failed(**json.loads(path.read_bytes())) if path.is_file() else None

    def finished(self, index: int, number: int, digest: str, image: bool) -> Done | None:
        done = self._read(index, number)
        fits = done is not None and done[1] == digest and (done[0].image is not None or not image)
        return done[0] if done is not None and fits else None

    def forget_failures(self) -> None:
        """Remove what failed, and what a killed process had begun to write."""
        clear_parts(self.folder)
        for path in self.folder.glob(f"*{_FAILED}"):
            path.unlink(missing_ok=True)

    @property
    def count(self) -> int:
        """How many reconstructions are done."""
        return sum(1 for _ in self.folder.glob(f"*{_DONE}"))

    def _write(self, path: Path, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)

    def _path(self, index: int, number: int, ending: str) -> Path:
        return self.folder / f"{index}.{number}{ending}"

    def _read(self, index: int, number: int) -> tuple[Done, str] | None:
        """What a file holds, with the sample's digest; `None` where there is none, or none that can be read."""
        path = self._path(index, number, _DONE)
        if not path.is_file():
            return None
        try:
            with safe_open(str(path), framework="pt") as file:
                about = json.loads((file.metadata() or {})["outcome"])
                image = file.get_tensor("image") if "image" in file.keys() else None  # noqa: SIM118 - not a dict
            return Done(_row(about["row"]), image), about["digest"]
        except (SafetensorError, OSError, RuntimeError, ValueError, KeyError):
            return None


class RunJournal:
    """The journal beside a run directory, `.NAME.samples`, while one process leads the work: a context manager.

    `mark` stands for all that the results depend on; what was kept under another one is thrown away, and so are
    failures, which are tried again. `close` removes the journal once the run is complete. Where the block raises, it
    stays for the next attempt unless it is empty, or the disk could not take the run. Where another process is at
    work on the same run, the journal lies at `otherwise`.
    """

    def __init__(self, place: Path, mark: str, otherwise: Path) -> None:
        self._place, self._mark, self._otherwise = place, mark, otherwise
        self._lock = FileLock(place.parent / f"{place.name}.lock")
        self.journal = Journal(place)
        self.resumed = 0

    def __enter__(self) -> RunJournal:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self.journal = Journal(self._otherwise)
            return self
        try:
            self._begin(self._place)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or not self._lock.is_locked:
            return
        if self.journal.count == 0 or isinstance(error, OSError):
            self.close()
        else:
            self._release()

    @property
    def kept(self) -> int:
        """How many reconstructions the next attempt finds; 0 for a journal that goes with its run."""
        return self.journal.count if self._place == self.journal.folder else 0

    def close(self) -> None:
        """Remove the journal: the run is complete."""
        if self._lock.is_locked:
            shutil.rmtree(self._place, ignore_errors=True)
            self._release()

    def _begin(self, folder: Path) -> None:
        about = folder / _ABOUT
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(about.read_text(encoding="utf-8"))["mark"] == self._mark:
                self.journal.forget_failures()
                self.resumed = self.journal.count
                return
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            write_text(about, json.dumps({"mark": self._mark}))
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _release(self) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def _document(row: Row) -> dict[str, Any]:
    return {**asdict(row), "verdict": row.verdict.name}


def _row(document: dict[str, Any]) -> Row:
    history = {name: [(int(count), value) for count, value in found] for name, found in document["history"].items()}
    return Row(**{**document, "verdict": Verdict[document["verdict"]], "history": history})
