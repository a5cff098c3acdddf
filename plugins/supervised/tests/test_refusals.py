"""Numbers out of range: each is refused with a sentence that names it, and the end of its range is not."""

from __future__ import annotations

from typing import Any

import pytest

from wellposed.errors import WellposedError
from wellposed.recipes import build

#: Kind and node, the sentence, and a node at the end of the range (or `None`).
REFUSED: list[tuple[str, dict[str, Any], str, dict[str, Any] | None]] = [
    ("networks", {"use": "unet", "in_channels": 0}, "in_channels ≥ 1; 0", {"in_channels": 1, "width": 8}),
    ("networks", {"use": "unet", "out_channels": 0}, "out_channels ≥ 1; 0", {"out_channels": 1, "width": 8}),
    ("networks", {"use": "unet", "groups": 0}, "groups ≥ 1; 0", {"groups": 1, "width": 1}),
    (
        "networks",
        {"use": "unet", "scales": -1},
        "scales ≥ 0 and a width that groups divides",
        {"scales": 0, "width": 8},
    ),
    (
        "networks",
        {"use": "unet", "width": 0, "groups": 1},
        "scales ≥ 0 and a width that groups divides",
        {"width": 1, "scales": 0},
    ),
    ("networks", {"use": "unet", "width": 12}, "groups 8", {"width": 16, "scales": 0}),
]


@pytest.mark.parametrize(("kind", "node", "words", "accepted"), REFUSED)
def test_refusals(kind: str, node: dict[str, Any], words: str, accepted: dict[str, Any] | None) -> None:
    with pytest.raises(WellposedError, match=words):
        build(kind, node)
    if accepted is not None:
        build(kind, {**node, **accepted})
