"""The transcript of a training: every evaluation as a line of JSON, from which a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from wellposed import InputError
from wellposed.files.atomic import clear_parts, write_bytes
from wellposed.files.lines import append_line, json_lines

from .evaluation import Evaluation
from .lower_level import Demand

_FORMAT = "wellposed-bilevel 1"


class Transcript:
    """`evaluations.jsonl` in `folder`, one line per evaluation, and `solutions/` with images to start from.

    The trainers are deterministic functions of their evaluations, so the lines are the whole checkpoint:
    a run on a folder with a transcript is handed the recorded evaluations in turn and goes on where they
    end. A line is written after its images, so what a kill leaves is a whole evaluation or none.

    Raises `InputError` where the transcript was begun with other `settings`.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._path = folder / "evaluations.jsonl"
        self._solutions = folder / "solutions"
        self._solutions.mkdir(parents=True, exist_ok=True)
        head = {"format": _FORMAT, "settings": json.loads(json.dumps(settings))}
        self.recorded: list[dict[str, Any]] = self._read(head)

    def append(self, evaluation: Evaluation, x: Tensor, extra: Mapping[str, Any], theta: Mapping[str, float]) -> None:
        """Keep an evaluation and its images; `extra` is what the trainer needs to go on (a gradient)."""
        write_bytes(self._file(evaluation.index), safetensors.torch.save({"x": x.contiguous().cpu()}))
        entry = document(evaluation, theta) | dict(extra)
        self._write(entry)
        self.recorded.append(entry)

    def solution(self, index: int) -> Tensor:
        """The stored images of an evaluation."""
        file = self._file(index)
        if not file.exists():
            raise InputError(f"{file} is gone, which this training goes on from; restore it, or choose another folder")
        try:
            return safetensors.torch.load(file.read_bytes())["x"]
        except (SafetensorError, KeyError) as error:
            raise InputError(f"{file} is damaged ({error}); restore it, or choose another folder") from None

    def forget(self, index: int) -> None:
        """The images of an evaluation will not be asked for again."""
        self._file(index).unlink(missing_ok=True)

    def _file(self, index: int) -> Path:
        return self._solutions / f"{index:06d}.safetensors"

    def _read(self, head: Mapping[str, Any]) -> list[dict[str, Any]]:
        clear_parts(self.folder)
        lines = _whole_lines(self._path)
        if not lines:
            self._path.unlink(missing_ok=True)
            self._write(head)
            return []
        if lines[0].get("format") != _FORMAT:
            raise InputError(f"{self._path} is no transcript that this version reads; choose another folder")
        begun, now = lines[0]["settings"], head["settings"]
        other = sorted(key for key in begun.keys() | now.keys() if begun.get(key) != now.get(key))
        if other:
            raise InputError(
                f"{self.folder} holds a training with another {' and '.join(other)}; choose another folder, "
                f"or remove it to begin anew"
            )
        return lines[1:]

    def _write(self, entry: Mapping[str, Any]) -> None:
        append_line(self._path, entry, durable=True)


def document(evaluation: Evaluation, theta: Mapping[str, float]) -> dict[str, Any]:
    """An evaluation as plain data."""
    return {
        "index": evaluation.index,
        "theta": dict(theta),
        "value": evaluation.value,
        "error": _finite(evaluation.error),
        "demand": asdict(evaluation.demand),
        "attained": evaluation.attained,
        "work": evaluation.work,
        "penalty": evaluation.penalty,
        "point": evaluation.point.tolist(),
        "residuals": evaluation.residuals.tolist(),
        "bounds": [_finite(b) for b in evaluation.bounds.tolist()],
    }


def evaluation_of(entry: Mapping[str, Any]) -> Evaluation:
    """The inverse of `document`."""
    return Evaluation(
        index=entry["index"],
        point=np.array(entry["point"], dtype=np.float64),
        residuals=np.array(entry["residuals"], dtype=np.float64),
        bounds=np.array([np.inf if b is None else b for b in entry["bounds"]], dtype=np.float64),
        penalty=entry["penalty"],
        demand=Demand(**entry["demand"]),
        work=entry["work"],
        attained=entry["attained"],
    )


def read_transcript(folder: Path) -> list[dict[str, Any]]:
    """The recorded evaluations of a training, as plain data, in their order."""
    return _whole_lines(folder / "evaluations.jsonl")[1:]


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """All lines but one that a kill cut short, which the next line written takes the place of."""
    try:
        return json_lines(path)
    except InputError:
        raise InputError(f"{path} is damaged; remove the folder to begin anew, or choose another one") from None


def _finite(value: float) -> float | None:
    """JSON has no infinity: an error without a bound is null."""
    return value if np.isfinite(value) else None
