"""The weights that are shipped load, say where they come from, and give the figure that they state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from wellposed.dataset import Simulated
from wellposed.errors import WellposedError
from wellposed.recipes import build, load_recipe
from wellposed.weights import all_weights
from wellposed_supervised.solvers.learned_primal_dual import LearnedPrimalDual

NAME = "lpd-ellipses-128-30"
SEEDS = 5


def built(kind: str, node: Any) -> Any:
    """A component of another plugin, through the registry; the test is skipped where that is not installed."""
    try:
        return build(kind, node)
    except WellposedError as error:
        pytest.skip(f"{error}")


def test_provenance_is_told() -> None:
    provenance = all_weights()[NAME].provenance()
    assert {"recipe", "seed", "figure", "licence", "psnr"} <= provenance.keys()
    assert all(provenance.values())
    assert all_weights()[NAME].path.stat().st_size < 2**21


def test_the_demo_with_the_weights_gives_the_stated_figure() -> None:
    recipe = load_recipe("supervised/demo")
    (node,) = recipe.solvers.values()
    operator, noise = built("operators", recipe.operator), built("noise", recipe.noise)
    phantom = built("datasets", {"use": "shepp-logan", "size": 128, "length": SEEDS})
    samples = [Simulated(phantom, operator, noise, recipe.seed)[i] for i in range(SEEDS)]
    with torch.no_grad():
        x = build("solvers", node)(torch.stack([s.measurement for s in samples]), operator)
    error = (x - torch.stack([s.truth for s in samples])).square().flatten(1).mean(1)
    psnr = float((-10 * error.log10()).mean())
    assert psnr == pytest.approx(float(all_weights()[NAME].provenance()["psnr"]), abs=0.05)


def test_the_recipes_fit_the_schema_and_pose_one_problem() -> None:
    demo, training = load_recipe("supervised/demo"), load_recipe("supervised/learned-primal-dual")
    assert (demo.operator, demo.noise) == (training.operator, training.noise)
    assert training.training is not None
    assert training.training.target in training.solvers
    folder = Path(__file__).parents[1] / "src/wellposed_supervised/recipes"
    for path in folder.glob("*.yaml"):
        assert load_recipe(str(path)).summary


def test_weights_of_other_settings_are_refused() -> None:
    with pytest.raises(WellposedError, match="does not fit LearnedPrimalDual"):
        build("solvers", {"use": "learned-primal-dual", "steps": 9, "weights": NAME})
    assert LearnedPrimalDual().state_dict().keys() == build("solvers", "learned-primal-dual").state_dict().keys()
