"""Numbers out of range: each is refused with a sentence that names it, and the end of its range is not."""

from __future__ import annotations

from typing import Any

import pytest

from wellposed.errors import WellposedError
from wellposed.recipes import build

#: Kind and node, the sentence, and a node at the end of the range (or `None`).
REFUSED: list[tuple[str, dict[str, Any], str, dict[str, Any] | None]] = [
    ("networks", {"use": "diagonal-covariance", "channels": 0}, "channels ≥ 1; 0", {"channels": 1}),
    (
        "networks",
        {"use": "diagonal-covariance", "least_std": 0.0},
        r"0 < least_std < initial_std; 0.0 and 0.1",
        {"least_std": 0.001},
    ),
    ("networks", {"use": "identity-covariance", "least_std": 0.1}, "0 < least_std < initial_std", {"least_std": 0.09}),
    ("networks", {"use": "sparse-cholesky", "radius": -1}, "radius ≥ 0 and ≤ 32; -1", {"radius": 0}),
    ("networks", {"use": "sparse-cholesky", "radius": 33}, "radius ≥ 0 and ≤ 32; 33", {"radius": 32}),
    ("networks", {"use": "diffusion", "shape": [8, 8], "widths": []}, "widths ≥ 1, at least one", None),
    ("networks", {"use": "diffusion", "shape": [8, 8], "widths": [8, 0]}, "widths ≥ 1, at least one", None),
    ("iterations", {"use": "variable-projection", "starts": 0}, "starts ≥ 1; 0", {"starts": 1}),
    ("iterations", {"use": "variable-projection", "image_steps": 0}, "image_steps ≥ 1; 0", {"image_steps": 1}),
]


@pytest.mark.parametrize(("kind", "node", "words", "accepted"), REFUSED)
def test_refusals(kind: str, node: dict[str, Any], words: str, accepted: dict[str, Any] | None) -> None:
    with pytest.raises(WellposedError, match=words):
        build(kind, node)
    if accepted is not None:
        build(kind, {**node, **accepted})
