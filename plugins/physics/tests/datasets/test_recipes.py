"""Datasets of files, built from recipes: every argument can be written in YAML, and slips are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

from wellposed.errors import RecipeError
from wellposed.recipes import build
from wellposed_physics.datasets.shepp_logan import SheppLogan
from wellposed_physics.mri.coil_maps import Birdcage
from wellposed_physics.mri.multicoil import MulticoilFourier

MASK = "{use: cartesian-mask, acceleration: 2.0, center_fraction: 0.4}"

RECIPES = {
    "image-folder": "{path: images, crop: random, patch: 8, augment: true, repeats: 2, divide_by: 2.0}",
    "sinogram-file": (
        "{path: sinogram.npy, angles: [0, 30, 60, 90], unit: degree, flat_field: border-median, rotation_centre: 3.5}"
    ),
    "k-space-file": f"{{path: kspace.npy, maps: smooth, mask: {MASK}}}",
    "fastmri": f"{{path: volume.h5, slices: [0], size: 24, mask: {MASK}}}",
    "lidc": "{path: lidc, every: 1, size: 4, water: 0.02}",
}


@pytest.fixture
def files(tmp_path: Path, write_ct: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", rng.random((12, 12)))
    np.save(tmp_path / "sinogram.npy", 1 + rng.random((4, 9)))
    truth = SheppLogan(32)[0].truth
    assert truth is not None
    kspace = MulticoilFourier((32, 32), sensitivities=Birdcage(4))(truth[None] + 0j)
    np.save(tmp_path / "kspace.npy", kspace[0].numpy())
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        file["kspace"] = kspace.numpy()
    write_ct(tmp_path / "lidc" / "1.dcm", rng.integers(0, 2000, (6, 6)), 0.0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_build_datasets_whose_samples_are_their_own(files: Path, name: str) -> None:
    node = {"use": name, **yaml.safe_load(RECIPES[name])}
    dataset, other = build("datasets", node), build("datasets", node)
    for i in range(len(dataset)):
        for what in ("truth", "measurement"):
            tensor = getattr(dataset[i], what)
            if tensor is None:
                continue
            assert torch.equal(tensor, getattr(other[i], what))
            kept = tensor.clone()
            tensor.zero_()
            assert torch.equal(getattr(dataset[i], what), kept)
        sample = dataset[i]
        if sample.operator is not None:
            sample.operator.check_range(sample.measurement[None])
            if sample.truth is not None:
                sample.operator.check_domain(sample.truth[None])


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("image-folder", {"crop": "middle"}),
        ("image-folder", {"path": "nowhere"}),
        ("image-folder", {"patch": "8"}),
        ("sinogram-file", {"flat_field": "median"}),
        ("sinogram-file", {"angles": [0, 1]}),
        ("k-space-file", {"maps": "walsh"}),
        ("fastmri", {"slices": [9]}),
        ("lidc", {"water": -1.0}),
        ("htc2022", {"paths": "sinogram.npy"}),
    ],
)
def test_slips_are_told_with_their_place(files: Path, name: str, changed: dict) -> None:
    arguments = yaml.safe_load(RECIPES.get(name, "{}"))
    with pytest.raises(RecipeError, match="here"):
        build("datasets", {"use": name, **arguments, **changed}, "here")
