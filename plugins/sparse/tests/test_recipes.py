"""The recipes and the shipped weights: everything they name exists, and the figures are reproduced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import wellposed
from wellposed.dataset import Simulated
from wellposed.experiment import prepare
from wellposed.recipes import build, load_recipe
from wellposed.registry.weights import all_weights


def figure(name: str) -> float:
    """The first number of the figure that the weights were shipped with."""
    found = re.search(r"-?\d+\.\d+", all_weights()[name].provenance()["figure"])
    assert found is not None
    return float(found.group())


def test_every_shipped_file_says_where_it_comes_from_and_is_small() -> None:
    own = [entry for entry in all_weights().values() if entry.distribution == "wellposed-sparse"]
    assert {entry.name for entry in own} == {"alista-250-500", "ista-net-plus-25"}
    for entry in own:
        assert {"recipe", "seed", "figure", "licence"} <= entry.provenance().keys()
        assert entry.path.stat().st_size < 1.6e6


def test_alista_trains_from_its_recipe(tmp_path: Path) -> None:
    """A short training of a shallow network, with everything else as the recipe says."""
    recipe = load_recipe("sparse/alista", ["solvers.alista.layers=2", "samples=20", "training.data.length=640"])
    experiment = prepare(recipe)
    before = experiment.run().summary()[0]["nmse-db"]
    assert recipe.training is not None
    trainer = build("trainers", {"use": "layer-wise", "stage_steps": [20, 10], "learning_rates": [2e-2, 5e-3]})
    data = Simulated(build("datasets", recipe.training.data), build("operators", recipe.operator))
    trainer.fit(experiment.solvers["alista"], data, tmp_path)
    after = experiment.run().summary()[0]["nmse-db"]
    assert after < before - 1
    assert after < -6


def test_the_recipe_of_photographs_builds_and_reconstructs() -> None:
    """On the smallest image that holds cut blocks; the trained network is far better than backprojection."""
    recipe = load_recipe("sparse/photographs-25", ["data.size=80", "operator.shape=[80, 80]", "samples=1"])
    rows = {entry["solver"]: entry for entry in prepare(recipe).run().summary()}
    assert rows["ista-net-plus"]["psnr"] > rows["pseudo-inverse"]["psnr"] + 10


def test_ista_net_plus_is_built_as_its_weights_were(shared: Path) -> None:
    settings = [f"data.path={shared / 'sparse/Set11'}", "solvers.ista-net-plus.weights=ista-net-plus-25"]
    solver = prepare(load_recipe("sparse/ista-net-plus-25", settings)).solvers["ista-net-plus"]
    assert sum(p.numel() for p in solver.parameters()) == 5 * 37_442


def test_alista_reaches_its_figure(shared: Path) -> None:
    """Ratio of sums over the authors' codes, all at once, as `nmse-db` pools them."""
    folder = shared / "sparse" / "alista"
    settings = [f"operator.matrix.path={folder / 'D.mat'}", f"data.path={folder / 'xtest_n500_p10.npy'}"]
    recipe = load_recipe("sparse/alista-file", [*settings, "solvers.alista.weights=alista-250-500"])
    operator, codes = build("operators", recipe.operator), build("datasets", recipe.data)
    x = torch.stack([codes[i].truth for i in range(len(codes))])
    metric = wellposed.component("metrics", "nmse-db")()
    with torch.no_grad():
        found = build("solvers", recipe.solvers["alista"])(operator(x), operator)
        reached = metric.pooled(metric(found, x).tolist(), metric.weight(x).tolist())
    assert reached <= -60
    assert reached == pytest.approx(figure("alista-250-500"), abs=0.5)


@pytest.mark.slow
def test_ista_net_plus_reaches_its_figure_on_set11(shared: Path) -> None:
    """At least 3 dB above its initial image, and what the file says."""
    settings = [f"data.path={shared / 'sparse/Set11'}", "solvers.ista-net-plus.weights=ista-net-plus-25"]
    experiment = prepare(load_recipe("sparse/ista-net-plus-25", settings))
    reached = experiment.run().summary()[0]["psnr"]
    assert reached == pytest.approx(figure("ista-net-plus-25"), abs=0.02)
    start = experiment.solvers["ista-net-plus"].start  # type: ignore[attr-defined]
    metric = experiment.metrics["psnr"]
    samples = [experiment.sample(i) for i in range(11)]
    with torch.no_grad():
        initial = [float(metric(start(s.measurement[None], s.operator), s.truth[None])) for s in samples]  # type: ignore[index]
    assert reached >= sum(initial) / 11 + 3
