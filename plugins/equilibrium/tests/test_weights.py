"""The shipped weights: what they are said to reach, they reach."""

from __future__ import annotations

import pytest

from wellposed.errors import ComponentNotFound
from wellposed.experiment import prepare
from wellposed.recipes import load_recipe
from wellposed.registry import registry
from wellposed.weights import all_weights

NAME = "equilibrium-deblur-gaussian"
try:
    registry().find("datasets", "skimage-images")
    registry().find("solvers", "measurement")
except ComponentNotFound as missing:
    pytest.skip(str(missing), allow_module_level=True)


def test_the_weights_state_where_they_come_from() -> None:
    entry = all_weights()[NAME]
    assert entry.path.stat().st_size < 1_000_000
    provenance = entry.provenance()
    for key in ("recipe", "seed", "figure", "licence"):
        assert provenance[key]


def test_they_deblur_to_a_certified_fixed_point() -> None:
    changes = ["data={use: skimage-images, names: [camera], size: 64}", "operator.shape=[64, 64]", "samples=1"]
    results = prepare(load_recipe("equilibrium/deblur", [*changes, "metrics=[{use: psnr, data_range: 1.0}]"])).run()
    rows = {row.solver: row for row in results.rows}
    assert rows["equilibrium"].verdict.ok
    assert rows["equilibrium"].bound is not None
    assert rows["equilibrium"].metrics["psnr"] >= rows["blurred"].metrics["psnr"] + 2


@pytest.mark.slow
def test_the_figure_in_their_metadata_is_reproduced() -> None:
    stated = all_weights()[NAME].provenance()["psnr"]
    solvers = "solvers={equilibrium: {use: equilibrium-proximal, step_size: 1.7, weights: " + NAME + "}}"
    summary = prepare(load_recipe("equilibrium/deblur", [solvers])).run().summary()[0]
    assert summary["psnr"] == pytest.approx(float(stated), abs=0.02)
