"""Numbers out of range: each is refused with a sentence that names it, and the end of its range is not."""

from __future__ import annotations

from typing import Any

import pytest

from wellposed.errors import WellposedError
from wellposed.recipes import build

#: Kind and node, the sentence, and a node at the end of the range (or `None`).
REFUSED: list[tuple[str, dict[str, Any], str, dict[str, Any] | None]] = [
    ("iterations", {"use": "kaczmarz", "blocks": 0}, "at least one block; got 0", {"blocks": 1}),
    (
        "iterations",
        {"use": "kaczmarz", "relaxation": 0.0},
        "relaxation lies between 0 and 2; got 0",
        {"relaxation": 1.99},
    ),
    ("iterations", {"use": "kaczmarz", "relaxation": 2.0}, "relaxation lies between 0 and 2; got 2", None),
    ("iterations", {"use": "sart", "subsets": 0}, "at least one subset; got 0", {"subsets": 1}),
    ("iterations", {"use": "sart", "relaxation": 2.0}, "relaxation lies between 0 and 2; got 2", {"relaxation": 1.99}),
    ("iterations", {"use": "stochastic-gradient", "blocks": 0}, "at least one block; got 0", {"blocks": 1}),
    ("iterations", {"use": "stochastic-gradient", "decay": -0.1}, r"decay must be ≥ 0; got -0.1", {"decay": 0.0}),
    (
        "iterations",
        {"use": "landweber", "relaxation": 2.0},
        "relaxation lies between 0 and 2; got 2",
        {"relaxation": 1.99},
    ),
    ("iterations", {"use": "landweber", "relaxation": 0.0}, "relaxation lies between 0 and 2; got 0", None),
    (
        "iterations",
        {"use": "landweber", "relaxation": 1.5, "step_size": 0.1},
        "a step_size or a relaxation",
        {"relaxation": 1.0},
    ),
    ("iterations", {"use": "admm", "relaxation": 2.0}, "relaxation lies between 0 and 2; got 2", {"relaxation": 1.99}),
    ("iterations", {"use": "admm", "relaxation": 0.0}, "relaxation lies between 0 and 2; got 0", None),
    ("iterations", {"use": "pdhg", "relaxation": 2.0}, "relaxation lies between 0 and 2; got 2", {"relaxation": 1.99}),
    ("iterations", {"use": "pdhg", "relaxation": 0.0}, "relaxation lies between 0 and 2; got 0", None),
    ("iterations", {"use": "linearized-bregman", "delta": 0.0}, "delta", {"delta": 0.1}),
    (
        "regularizers",
        {"use": "total-generalized-variation", "ratio": 0.0},
        r"ratio.* must be > 0; got 0",
        {"ratio": 0.1},
    ),
    (
        "regularizers",
        {"use": "total-generalized-variation", "tolerance": 0.0},
        r"tolerance.* must be > 0; got 0",
        {"tolerance": 0.001},
    ),
    ("regularizers", {"use": "total-generalized-variation", "limit": 0}, r"limit.* must be ≥ 1; got 0", {"limit": 1}),
    ("regularizers", {"use": "total-variation", "tolerance": 0.0}, "tolerance", {"tolerance": 0.001}),
    ("regularizers", {"use": "total-variation", "limit": 0}, "limit", {"limit": 1}),
    ("regularizers", {"use": "smoothed-total-variation", "nu": 0.0}, "nu", {"nu": 0.001}),
    ("regularizers", {"use": "smoothed-total-variation", "xi": -1e-09}, "xi", {"xi": 0.0}),
    ("regularizers", {"use": "huber", "delta": 0.0}, "delta", {"delta": 0.001}),
    ("regularizers", {"use": "wavelet-l1", "levels": 0}, "levels", {"levels": 1}),
    ("solvers", {"use": "truncated-svd", "rank": 0}, "rank must be at least 1; got 0", {"rank": 1}),
    ("solvers", {"use": "truncated-svd", "threshold": -0.1}, "threshold", None),
    ("solvers", {"use": "tikhonov-direct", "alpha": 0.0}, "alpha must be positive; got 0", {"alpha": 0.1}),
    ("solvers", {"use": "filtered-backprojection", "cutoff": 0.0}, "cutoff", {"cutoff": 1.0}),
]


@pytest.mark.parametrize(("kind", "node", "words", "accepted"), REFUSED)
def test_refusals(kind: str, node: dict[str, Any], words: str, accepted: dict[str, Any] | None) -> None:
    with pytest.raises(WellposedError, match=words):
        build(kind, node)
    if accepted is not None:
        build(kind, {**node, **accepted})
