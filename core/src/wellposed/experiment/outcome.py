"""How each solver ended on each sample, kept until all of them are gathered."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from torch import Tensor

from ..dataset import Sample
from ..errors import InputError, WellposedError
from .results import Row

#: The place of a sample that could not be read, where else the number of a solver stands.
READING = -1


@dataclass(frozen=True)
class Done:
    """A reconstruction; the image `(C, *spatial)` on the CPU where it is shown."""

    row: Row
    image: Tensor | None


@dataclass(frozen=True)
class Failed:
    """What a solver raised on the sample called `sample`, or reading it (number `READING`)."""

    sample: str
    reason: str


Outcome = Done | Failed
_log = logging.getLogger(__name__)


class Outcomes:
    """The outcome of solver `number` on sample `index`. These are in memory; `runs.journal` keeps them in files."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], Outcome] = {}

    def keep(self, index: int, number: int, outcome: Outcome, digest: str = "") -> None:
        """Remember an outcome; `digest` is that of the sample."""
        self._found[index, number] = outcome

    def find(self, index: int, number: int) -> Outcome | None:
        return self._found.get((index, number))

    def finished(self, index: int, number: int, digest: str, image: bool) -> Done | None:
        """What an earlier attempt has done on a sample with this `digest`, with its image where that is wanted."""
        return None


def digest_of(sample: Sample) -> str:
    """A checksum of the sample's image and measurement."""
    found = hashlib.sha256(sample.name.encode())
    for tensor in (sample.truth, sample.measurement):
        if tensor is not None:
            array = tensor.detach().cpu().contiguous().numpy()
            found.update(f"{array.shape}{array.dtype}".encode())
            found.update(array.reshape(-1).view("uint8").data)
    return found.hexdigest()


def reason_of(error: Exception) -> str:
    """What is written of a failure: the sentence of a foreseen one; of others the kind of the error, too."""
    _log.debug("the work failed", exc_info=error)
    text = " ".join(str(error).split())
    return text if isinstance(error, WellposedError) and text else f"{type(error).__name__}: {text or 'no message'}"


def placed(error: Exception, label: str, sample: Sample) -> Exception:
    """A foreseen failure with its place; of others the error itself, with which goes its traceback."""
    if not isinstance(error, InputError):
        return error
    located = InputError(f"sample {sample.name}, solver {label}: {error}")
    located.__cause__ = error
    return located
