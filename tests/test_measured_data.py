"""The recipes on measured data, at reduced size where the measurement allows it; whole runs are slow tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from wellposed.experiment import Results, prepare
from wellposed.recipes import load_recipe


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, recipe: str, *overrides: str) -> Results:
    monkeypatch.chdir(folder)
    return prepare(load_recipe(recipe, overrides)).run()


def score(results: Results, solver: str, metric: str) -> float:
    return results.of(solver)[0].metrics[metric]


def test_least_squares_on_merged_views_segments_the_object(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = "solvers={LS: {use: iterative, iteration: conjugate-gradient, fidelity: l2, stop: {iterations: 20}}}"
    results = run(
        monkeypatch, shared / "real/ct", "classical/htc2022-full", "data.size=128", "data.reduce_bins=4", keep
    )
    assert score(results, "LS", "matthews") >= 0.96
    assert results.samples[0].measurement.shape[1] == 539


@pytest.mark.slow
def test_merged_views_at_the_recipes_size(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = run(monkeypatch, shared / "real/ct", "classical/htc2022-full")
    assert score(results, "least squares", "matthews") >= 0.98
    assert score(results, "TV", "matthews") >= score(results, "least squares", "matthews")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arc", "overrides"),
    [
        (30, []),
        (60, ["data.paths=[htc2022_ta_60deg_example.mat]"]),
        (90, ["data.paths=[htc2022_tb_limited_90.mat]", "data.reference=htc2022_tb_groundtruth_seg.png"]),
    ],
)
def test_limited_angles(shared: Path, monkeypatch: pytest.MonkeyPatch, arc: int, overrides: list[str]) -> None:
    results = run(monkeypatch, shared / "real/ct", "classical/htc2022-limited", *overrides)
    scores = [score(results, s, "matthews") for s in ("FBP (Hann)", "least squares", "TV")]
    assert scores == sorted(scores), (arc, scores)


def test_undersampled_brain_gains_from_total_variation(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = run(monkeypatch, shared / "real/mri", "classical/brain-4x", "solvers.TV.stop.iterations=60")
    assert score(results, "TV", "psnr") >= score(results, "zero-filled", "psnr") + 3


@pytest.mark.parametrize(
    ("folder", "recipe", "overrides"),
    [
        ("real/mri", "classical/brain-full", ["solvers.wavelets.stop.iterations=3"]),
        ("real/mri", "classical/brain-r8", ["solvers.TV.stop.iterations=10"]),
        ("real/ct", "classical/neutron", ["data.size=64", "data.reduce_bins=8", "solvers.TV.stop.iterations=10"]),
        ("extra/tomo_real", "classical/synchrotron", ["data.size=105", "data.reduce_bins=12", "data.view_step=8"]),
    ],
)
def test_every_other_recipe_gives_finite_images(
    shared: Path, monkeypatch: pytest.MonkeyPatch, folder: str, recipe: str, overrides: list[str]
) -> None:
    results = run(monkeypatch, shared / folder, recipe, *overrides)
    for image in results.samples[0].reconstructions.values():
        assert bool(image.abs().isfinite().all())
        assert float(image.abs().max()) > 0
