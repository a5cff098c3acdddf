"""Numbers out of range: each is refused with a sentence that names it, and the end of its range is not."""

from __future__ import annotations

from typing import Any

import pytest

from wellposed.errors import WellposedError
from wellposed.recipes import build

#: Kind and node, the sentence, and a node at the end of the range (or `None`).
REFUSED: list[tuple[str, dict[str, Any], str, dict[str, Any] | None]] = [
    ("datasets", {"use": "indicator-signals", "count": 0}, "count ≥ 1 and pixels ≥ 1; got 0 and 256", {"count": 1}),
    ("datasets", {"use": "indicator-signals", "pixels": 0}, "count ≥ 1 and pixels ≥ 1; got 20 and 0", {"pixels": 1}),
]


@pytest.mark.parametrize(("kind", "node", "words", "accepted"), REFUSED)
def test_refusals(kind: str, node: dict[str, Any], words: str, accepted: dict[str, Any] | None) -> None:
    with pytest.raises(WellposedError, match=words):
        build(kind, node)
    if accepted is not None:
        build(kind, {**node, **accepted})
