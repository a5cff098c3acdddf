"""The shipped weights reproduce the figure that stands in their file."""

from __future__ import annotations

import json

from wellposed.experiment import prepare
from wellposed.recipes import load_recipe
from wellposed.weights import all_weights


def test_learned_primal_dual_reaches_its_figure_on_the_phantom() -> None:
    stated = all_weights()["lpd-ellipses-128-30"].provenance()
    results = prepare(load_recipe("supervised/demo", ["data.length=5", "samples=5"])).run()
    psnr = [row.metrics["psnr"] for row in results.rows]
    assert len(psnr) == 5
    assert abs(sum(psnr) / len(psnr) - float(stated["psnr"])) < 0.05
    assert min(psnr) > 29.3 + 0.5  # what total variation with x ≥ 0 reaches on this problem


def test_the_weights_say_where_they_come_from() -> None:
    stated = all_weights()["lpd-ellipses-128-30"].provenance()
    assert {"recipe", "seed", "figure", "psnr", "licence"} <= stated.keys()
    assert "supervised/learned-primal-dual" in stated["recipe"]
    assert json.dumps(stated)
