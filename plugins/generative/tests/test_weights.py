"""The weights that are shipped, once they are, give the figure in their metadata on the slices that it names."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from wellposed import Simulated
from wellposed.errors import InputError
from wellposed.recipes import build, load_recipe
from wellposed.weights import all_weights

SHARED = Path(os.environ.get("WELLPOSED_SHARED", Path(__file__).resolve().parents[3] / "../shared")) / "data"
SLICES = SHARED / "sparse/brain_mri_test50"
#: The slices that were kept out of the training.
TEST = (3, 7, 11, 15, 19, 23)


@pytest.mark.slow
@pytest.mark.skipif("brain-64" not in all_weights(), reason="no weights are shipped yet")
@pytest.mark.skipif(not SLICES.is_dir(), reason="the shared brain slices are not here")
def test_the_figure_of_the_shipped_weights_is_reproduced(tmp_path: Path) -> None:
    for number in TEST:
        os.symlink(SLICES / f"brain_test_{number:02d}.png", tmp_path / f"{number:02d}.png")
    recipe = load_recipe("generative/brain", ())
    try:
        images = build("datasets", {"use": "image-folder", "path": str(tmp_path), "size": 64})
        operator, noise = build("operators", recipe.operator), build("noise", recipe.noise)
        solver, psnr = build("solvers", recipe.solvers["structured"]), build("metrics", recipe.metrics[0])
    except InputError as missing:
        pytest.skip(str(missing))
    data = Simulated(images, operator, noise, recipe.seed)
    samples = [data[i] for i in range(len(TEST))]
    with torch.no_grad():
        x = solver(torch.stack([s.measurement for s in samples if s.measurement is not None]), operator)
    found = psnr(x, torch.stack([s.truth for s in samples if s.truth is not None]))
    claimed = re.search(r"([\d.]+) dB", all_weights()["brain-64"].provenance()["figure"])
    assert claimed is not None
    assert float(found.mean()) == pytest.approx(float(claimed.group(1)), abs=0.05)
