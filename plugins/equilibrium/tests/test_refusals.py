"""Numbers out of range: each is refused with a sentence that names it, and the end of its range is not."""

from __future__ import annotations

from typing import Any

import pytest

from wellposed.errors import WellposedError
from wellposed.recipes import build

#: Kind and node, the sentence, and a node at the end of the range (or `None`).
REFUSED: list[tuple[str, dict[str, Any], str, dict[str, Any] | None]] = [
    ("accelerations", {"use": "broyden", "memory": 0}, "memory of at least 1 update; got 0", {"memory": 1}),
    (
        "accelerations",
        {"use": "broyden", "safeguard": 0.9},
        r"safeguard must be at least 1; got 0.9",
        {"safeguard": 1.0},
    ),
    ("accelerations", {"use": "anderson", "memory": 0}, "memory", {"memory": 1}),
    ("accelerations", {"use": "anderson", "mixing": 0.0}, "mixing", {"mixing": 1.0}),
    ("accelerations", {"use": "anderson", "regularization": -1e-09}, "regularization", {"regularization": 0.0}),
    ("accelerations", {"use": "anderson", "safeguard": 0.9}, "safeguard", {"safeguard": 1.0}),
    (
        "gradients",
        {"use": "implicit", "tolerance": 0.0},
        r"tolerance > 0 and iterations ≥ 1; got 0.0, 200",
        {"tolerance": 1e-09},
    ),
    (
        "gradients",
        {"use": "implicit", "iterations": 0},
        "tolerance > 0 and iterations ≥ 1; got 1e-06, 0",
        {"iterations": 1},
    ),
    ("gradients", {"use": "phantom", "steps": 0}, "steps ≥ 1 and damping", {"steps": 1}),
    ("gradients", {"use": "phantom", "damping": 0.0}, "steps ≥ 1 and damping", {"damping": 1.0}),
    ("gradients", {"use": "phantom", "damping": 1.1}, "steps ≥ 1 and damping", None),
]


@pytest.mark.parametrize(("kind", "node", "words", "accepted"), REFUSED)
def test_refusals(kind: str, node: dict[str, Any], words: str, accepted: dict[str, Any] | None) -> None:
    with pytest.raises(WellposedError, match=words):
        build(kind, node)
    if accepted is not None:
        build(kind, {**node, **accepted})
