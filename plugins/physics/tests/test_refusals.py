"""Numbers out of range: each is refused with a sentence that names it, and the end of its range is not."""

from __future__ import annotations

from typing import Any

import pytest

from wellposed.errors import WellposedError
from wellposed.recipes import build

#: Kind and node, the sentence, and a node at the end of the range (or `None`).
REFUSED: list[tuple[str, dict[str, Any], str, dict[str, Any] | None]] = [
    ("datasets", {"use": "skimage-images", "names": []}, "bundles no image", {"names": ["camera"]}),
    ("datasets", {"use": "skimage-images", "names": ["camera", "nobody"]}, r"bundles no image .*nobody", None),
    ("datasets", {"use": "skimage-images", "size": 0}, "size ≥ 1; 0", {"size": 1}),
    ("datasets", {"use": "shepp-logan", "size": 1}, "size ≥ 2; 1", {"size": 2}),
    ("datasets", {"use": "shepp-logan", "length": 0}, "length", {"length": 1}),
    ("datasets", {"use": "ellipses", "size": 1}, "size ≥ 2; 1", {"size": 2}),
    ("datasets", {"use": "ellipses", "length": 0}, "length", {"length": 1}),
    ("datasets", {"use": "textures", "leaves": 0}, "leaves", {"leaves": 1}),
    ("datasets", {"use": "image-folder", "path": ".", "crop": "random"}, "needs patch", None),
    ("datasets", {"use": "image-folder", "path": ".", "patch": 3}, "only with crop", None),
    ("datasets", {"use": "image-folder", "path": ".", "repeats": 0}, "repeats", None),
    ("datasets", {"use": "image-folder", "path": ".", "repeats": 10_001}, "at most 10000 repeats", None),
    ("fidelities", {"use": "l2", "weight": -1.0}, "weight must be finite and ≥ 0; -1", {"weight": 0.0}),
    ("fidelities", {"use": "l1", "weight": -1.0}, "weight must be finite and ≥ 0; -1", {"weight": 0.0}),
    ("fidelities", {"use": "kullback-leibler", "gain": 0.0}, r"gain.* positive; 0", {"gain": 0.1}),
    (
        "fidelities",
        {"use": "kullback-leibler", "background": -1.0},
        "background must be finite and ≥ 0; -1",
        {"background": 0.0},
    ),
    ("fidelities", {"use": "poisson-transmission", "photons": 0.0}, r"photons.* positive; 0", {"photons": 0.1}),
    (
        "fidelities",
        {"use": "weighted-transmission", "photons": 1.0, "background": -0.1},
        r"background.* ≥ 0; -0.1",
        {"background": 0.0},
    ),
    ("metrics", {"use": "ssim", "k1": 0.0}, r"positive constants k1 and k2; 0.0 and 0.03", {"k1": 1e-09}),
    ("metrics", {"use": "ssim", "k2": 0.0}, r"positive constants k1 and k2; 0.01 and 0.0", {"k2": 1e-09}),
    ("metrics", {"use": "ssim", "data_range": 0.0}, "range", {"data_range": 0.001}),
    ("metrics", {"use": "psnr", "data_range": 0.0}, "range", {"data_range": 0.001}),
    ("noise", {"use": "gaussian", "sigma": -0.1}, "sigma", {"sigma": 0.0}),
    ("noise", {"use": "laplace", "scale": -0.1}, "scale", None),
    ("noise", {"use": "poisson", "gain": 0.0}, "gain", {"gain": 0.1}),
    ("noise", {"use": "poisson-transmission", "photons": 0.0}, "photons", {"photons": 0.1}),
    (
        "operators",
        {"use": "block-compressed-sensing", "shape": [4, 4], "block": 0, "ratio": 0.5},
        "block ≥ 1; 0",
        {"block": 1},
    ),
    ("operators", {"use": "block-compressed-sensing", "shape": [4, 4], "block": 2}, "either ratio", {"ratio": 0.5}),
    ("operators", {"use": "compressed-sensing", "shape": [4, 4]}, "either ratio or measurements", {"ratio": 1.0}),
    (
        "operators",
        {"use": "compressed-sensing", "shape": [4, 4], "ratio": 0.5, "measurements": 3},
        "either ratio or measurements",
        None,
    ),
    (
        "operators",
        {"use": "compressed-sensing", "shape": [4, 4], "measurements": 0},
        "1 to 16 measurements; 0",
        {"measurements": 1},
    ),
    (
        "operators",
        {"use": "compressed-sensing", "shape": [4, 4], "measurements": 17},
        "1 to 16 measurements; 17",
        {"measurements": 16},
    ),
    (
        "operators",
        {"use": "compressed-sensing", "shape": [4, 4], "ratio": 0.5, "ensemble": "hadamard", "orthonormal": False},
        "leave orthonormal out",
        {"orthonormal": True},
    ),
    (
        "operators",
        {"use": "compressed-sensing", "shape": [3, 4], "ratio": 0.5, "ensemble": "hadamard"},
        "a power of 2",
        {"shape": [2, 4]},
    ),
    (
        "operators",
        {"use": "matrix", "domain_shape": [2], "range_shape": [2], "matrix": [[1.0, 2.0], [1.0]]},
        "different lengths",
        {"matrix": [[1.0, 2.0], [1.0, 0.0]]},
    ),
    (
        "operators",
        {"use": "matrix", "domain_shape": [2], "range_shape": [2], "matrix": [[1.0, 2.0]]},
        "needs 2 rows",
        None,
    ),
    (
        "operators",
        {"use": "beer-lambert", "operator": {"use": "identity", "shape": [2, 2]}, "mu": 0.0},
        "mu",
        {"mu": 0.1},
    ),
    ("operators", {"use": "parallel-beam", "shape": [4, 4], "angles": 0}, "at least one view", {"angles": 1}),
    (
        "operators",
        {"use": "parallel-beam", "shape": [4, 4], "angles": [0.0, 1.0], "arc": 1.0},
        "spread a number of views",
        None,
    ),
    (
        "operators",
        {"use": "parallel-beam", "shape": [4, 4], "angles": 3, "last": 1.0},
        "last needs first",
        {"first": 0.0},
    ),
    (
        "operators",
        {"use": "parallel-beam", "shape": [4, 4], "angles": 3, "first": 0.0, "last": 1.0, "arc": 1.0},
        "excludes arc",
        None,
    ),
    ("patterns", {"use": "birdcage", "coils": 0}, "at least one coil; 0", {"coils": 1}),
    ("patterns", {"use": "birdcage", "coils": 2, "distance": 1.414}, "outside the image", {"distance": 1.42}),
    ("patterns", {"use": "cartesian-mask", "acceleration": 0.9}, r"acceleration ≥ 1; 0.9", {"acceleration": 1.0}),
    (
        "patterns",
        {"use": "cartesian-mask", "center_fraction": 1.1},
        r"center_fraction in .0, 1.; 1.1",
        {"center_fraction": 1.0},
    ),
    (
        "patterns",
        {"use": "cartesian-mask", "center_fraction": -0.1},
        r"center_fraction in .0, 1.",
        {"center_fraction": 0.0},
    ),
    ("patterns", {"use": "cartesian-mask", "axis": 2}, r"axis 0 .rows. or 1 .columns.; 2", {"axis": 0}),
    ("patterns", {"use": "cartesian-mask", "density": -0.1}, r"density ≥ 0; -0.1", {"density": 0.0}),
    ("patterns", {"use": "random-mask", "ratio": 0.0}, r"ratio in .0, 1.; 0", {"ratio": 1.0}),
    ("patterns", {"use": "random-mask", "ratio": 0.5, "calibration": -1}, "calibration ≥ 0; -1", {"calibration": 0}),
    ("patterns", {"use": "random-mask", "ratio": 0.5, "density": -1.0}, "density ≥ 0; -1", {"density": 0.0}),
    ("patterns", {"use": "radial-mask"}, r"either lines .* or ratio", {"lines": 1}),
    ("patterns", {"use": "radial-mask", "lines": 3, "ratio": 0.5}, r"either lines .* or ratio", None),
    ("patterns", {"use": "radial-mask", "lines": 0}, "at least one line; 0", {"lines": 1}),
    ("patterns", {"use": "radial-mask", "ratio": 0.0}, r"ratio in .0, 1.; 0", {"ratio": 1.0}),
    ("patterns", {"use": "poisson-disc-mask", "ratio": 0.5, "growth": -0.1}, "growth ≥ 0", {"growth": 0.0}),
    (
        "patterns",
        {"use": "poisson-disc-mask", "ratio": 0.5, "calibration": -1},
        "calibration ≥ 0; -1",
        {"calibration": 0},
    ),
]


@pytest.mark.parametrize(("kind", "node", "words", "accepted"), REFUSED)
def test_refusals(kind: str, node: dict[str, Any], words: str, accepted: dict[str, Any] | None) -> None:
    with pytest.raises(WellposedError, match=words):
        build(kind, node)
    if accepted is not None:
        build(kind, {**node, **accepted})
