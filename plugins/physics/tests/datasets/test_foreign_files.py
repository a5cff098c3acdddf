"""fastMRI volumes whose numbers lie elsewhere, or whose reference does not fit, are refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from wellposed.errors import InputError
from wellposed_physics.datasets.fastmri import FastMRI

SHAPE = (2, 3, 32, 32)


def kspace() -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=(2, *SHAPE))
    return (drawn[0] + 1j * drawn[1]).astype(np.complex64)


@pytest.mark.parametrize("name", ["kspace", "mask", "reconstruction_rss"])
def test_volumes_that_lead_into_other_files_are_not_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        if name != "kspace":
            file["kspace"] = kspace()
        layout = h5py.VirtualLayout(SHAPE, np.complex64)
        layout[:] = h5py.VirtualSource("missing.h5", "kspace", SHAPE)
        file.create_virtual_dataset(name, layout)
    with pytest.raises(InputError, match=f"{name} is a virtual dataset"):
        FastMRI(str(path), size=None)
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace()
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(InputError, match="elsewhere is a link into another file"):
        FastMRI(str(path), size=None)


@pytest.mark.parametrize("shape", [(5,), (2, 32), (1, 32, 32), (2, 1, 32, 32), ()])
def test_a_reference_that_is_no_stack_of_images(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace()
        file["reconstruction_rss"] = np.ones(shape, np.float32)
    data = FastMRI(str(path), size=None)
    with pytest.raises(InputError, match=r"reconstruction_rss, has the shape .*\(slices, H, W\) with the slices of"):
        data[1]


def test_kspace_that_is_a_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["kspace/inner"] = kspace()
    with pytest.raises(InputError, match="has no dataset kspace"):
        FastMRI(str(path), size=None)
