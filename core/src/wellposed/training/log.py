"""The training's metrics as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ..files.atomic import write_text
from ..files.lines import append_line

NAME = "metrics.jsonl"


class MetricsLog:
    """`metrics.jsonl`: one object per line, each with its `step`; the same after a resume as without one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def begin(self, step: int) -> None:
        """Go on after step `step`: what a killed process logged beyond its last checkpoint is taken out."""
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= step]
        write_text(self.path, "".join(f"{line}\n" for line in kept))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line; a value that is not finite becomes `null` (JSON has no infinity)."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        append_line(self.path, {"step": step, **finite})


def _step_of(line: str) -> float:
    """The step of a line; beyond any where the line was cut off by a kill."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
