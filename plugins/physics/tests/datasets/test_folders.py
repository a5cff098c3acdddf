"""Images from the user's files: formats, cuts, slices, order, bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.files import write_array
from wellposed_physics.datasets.augmented import Augmented
from wellposed_physics.datasets.image_folder import ImageFolder
from wellposed_physics.datasets.lidc import LIDC
from wellposed_physics.datasets.rotated import Rotated
from wellposed_physics.datasets.selection import Selection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images 0 … 3 of 20 × 24 pixels in three formats and a subfolder."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (4, 20, 24)).astype(np.uint8)
    (tmp_path / "sub").mkdir()
    write_array(tmp_path / "a.png", images[0])
    write_array(tmp_path / "b.npy", images[1])
    write_array(tmp_path / "c.tif", images[2])
    write_array(tmp_path / "sub" / "d.mat", images[3])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    np.save(tmp_path / "sub" / ".images.npy", images)
    return tmp_path


def expected(folder: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(folder / "sub" / ".images.npy") / np.float32(255))[:, None]


def truth(dataset: Any, index: int) -> torch.Tensor:
    image = dataset[index].truth
    assert image is not None
    return image


def test_files_come_in_the_order_of_their_paths(folder: Path) -> None:
    dataset = ImageFolder(str(folder))
    assert [dataset[i].name for i in range(len(dataset))] == ["a.png", "b.npy", "c.tif", "sub/d.mat"]
    for i, image in enumerate(expected(folder)):
        torch.testing.assert_close(truth(dataset, i), image)
    assert dataset[0].truth.dtype == torch.float32  # type: ignore[union-attr]
    assert len(ImageFolder(str(folder / "a.png"))) == 1


def test_cuts_and_sizes(folder: Path) -> None:
    images = expected(folder)
    torch.testing.assert_close(truth(ImageFolder(str(folder), crop="center"), 1), images[1][:, :, 2:22])
    torch.testing.assert_close(truth(ImageFolder(str(folder), crop="center", patch=10), 1), images[1][:, 5:15, 7:17])
    small = truth(ImageFolder(str(folder), crop="center", size=10), 1)
    assert small.shape == (1, 10, 10)
    assert float(small.mean()) == pytest.approx(float(images[1][:, :, 2:22].mean()), rel=0.02)
    with pytest.raises(InputError, match=r"a\.png is not square"):
        ImageFolder(str(folder), size=10)[0]
    with pytest.raises(InputError, match=r"a\.png is 20 × 24; a square of 21 pixels"):
        ImageFolder(str(folder), crop="random", patch=21)[0]


def test_random_cuts_and_turns_depend_on_seed_and_index_alone(folder: Path) -> None:
    def make(seed: int) -> ImageFolder:
        return ImageFolder(str(folder), crop="random", patch=8, augment=True, repeats=30, seed=seed)

    dataset = make(0)
    assert len(dataset) == 120
    cuts = [truth(dataset, i) for i in range(120)]
    for i in reversed(range(120)):
        assert torch.equal(truth(make(0), i), cuts[i])
    assert sum(torch.equal(truth(make(1), i), cuts[i]) for i in range(120)) < 5
    assert len({tuple(c.flatten().tolist()) for c in cuts}) > 110
    # Every cut is a part of its own image, in one of the eight positions.
    for i in (0, 1, 2, 3, 60):
        parts = expected(folder)[i % 4][0].unfold(0, 8, 1).unfold(1, 8, 1).reshape(-1, 8, 8)
        turned = [torch.rot90(c, k, (-2, -1)) for c in (cuts[i], cuts[i].flip(-1)) for k in range(4)]
        assert min(float((parts - t).abs().amax((1, 2)).min()) for t in turned) < 1e-6


def test_turns_keep_the_shape_of_images_that_are_not_square(folder: Path) -> None:
    dataset = ImageFolder(str(folder), augment=True, repeats=20)
    count = len(dataset) // 20
    assert [dataset.origin(i) for i in range(len(dataset))] == list(range(count)) * 20
    wrapped = Selection(Rotated(dataset, [0, 90]), first=1, step=3)
    assert [wrapped.origin(i) for i in range(4)] == [(1 + 3 * i) // 2 % count for i in range(4)]
    assert Augmented(Selection(dataset, first=count), length=99).origin(98) == (count + 98 % (19 * count)) % count
    assert {tuple(truth(dataset, i).shape) for i in range(len(dataset))} == {(1, 20, 24)}


def test_colours_become_luminance_and_alpha_is_dropped(tmp_path: Path) -> None:
    colours = np.zeros((8, 8, 4), np.uint8)
    colours[..., 0], colours[..., 1], colours[..., 2], colours[..., 3] = 255, 51, 102, 7
    write_array(tmp_path / "a.png", colours)
    assert float(truth(ImageFolder(str(tmp_path)), 0).mean()) == pytest.approx(0.2125 + 0.7154 / 5 + 0.0721 * 0.4)
    assert truth(ImageFolder(str(tmp_path), grayscale=False), 0)[:, 0, 0].tolist() == pytest.approx([1, 0.2, 0.4])


def test_volumes_are_cut_into_slices(tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).random((2, 5, 6, 7)).astype(np.float32)
    np.save(tmp_path / "a.npy", volumes[0])
    nibabel.save(nibabel.Nifti1Image(volumes[1][:4], np.eye(4)), tmp_path / "b.nii.gz")
    dataset = ImageFolder(str(tmp_path), slice_axis=0)
    assert len(dataset) == 9
    torch.testing.assert_close(truth(dataset, 3)[0], torch.from_numpy(volumes[0][3]))
    torch.testing.assert_close(truth(dataset, 7)[0], torch.from_numpy(volumes[1][2]))
    assert dataset[7].name == "b.nii.gz[2]"
    with pytest.raises(InputError, match="no slice_axis 3"):
        ImageFolder(str(tmp_path), slice_axis=3)
    with pytest.raises(InputError, match=r"a\.npy has the shape \(5, 6, 7\); an image is"):
        ImageFolder(str(tmp_path))[0]


def test_keys_scales_and_complex_images(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["z"] = np.full((4, 4), 100.0), np.full((4, 4), 1 + 2j)
    with pytest.raises(InputError, match="name one as key: x, z"):
        ImageFolder(str(tmp_path))[0]
    assert float(truth(ImageFolder(str(tmp_path), key="x"), 0).max()) == 100
    assert float(truth(ImageFolder(str(tmp_path), key="x", divide_by=200), 0).max()) == 0.5
    image = truth(ImageFolder(str(tmp_path), key="z"), 0)
    assert image.dtype == torch.complex64
    assert complex(image[0, 0, 0]) == 1 + 2j


def test_bad_folders_and_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file or folder .*nowhere"):
        ImageFolder(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"holds no file that ends in \.npy"):
        ImageFolder(str(tmp_path))
    (tmp_path / "a.png").write_bytes(b"\x89PNG broken")
    dataset = ImageFolder(str(tmp_path))  # told when it is needed
    with pytest.raises(InputError, match=r"a\.png cannot be read as PNG"):
        dataset[0]
    np.save(tmp_path / "a.npy", np.full((4, 4), np.nan))
    dataset = ImageFolder(str(tmp_path))
    with pytest.raises(InputError, match=r"a\.npy holds numbers that are not finite"):
        dataset[0]
    for options in ({"crop": "random"}, {"patch": 4}, {"repeats": 0}, {"divide_by": 0.0}, {"size": 0}):
        with pytest.raises(InputError):
            ImageFolder(str(tmp_path), **options)  # type: ignore[arg-type]


def test_real_folders(shared: Path) -> None:
    for path, count, shape, options in (
        ("extra/BSD400_180", 400, (1, 180, 180), {}),
        ("extra/Set5", 5, (3, 64, 64), {"grayscale": False, "crop": "center", "patch": 64}),
        ("extra/att_faces", 400, (1, 112, 92), {}),
        ("sparse/Set11", 11, (1, 128, 128), {"crop": "random", "patch": 128}),
        ("sparse/admmnet_cardiac_train100", 100, (1, 256, 256), {"key": "im_ori"}),
        ("sparse/brain_mri_test50", 25, (1, 128, 128), {"size": 128}),
    ):
        dataset = ImageFolder(str(shared / path), **options)  # type: ignore[arg-type]
        assert len(dataset) == count
        image = truth(dataset, count // 2)
        assert image.shape == shape
        assert 0 <= float(image.min()) < float(image.max()) <= 1


# LIDC ---------------------------------------------------------------------------------------------


def test_lidc_slices_are_ordered_attenuation(tmp_path: Path, write_ct: Any) -> None:
    for name, z, value in (("1", 5.0, 24), ("2", -3.0, 1024), ("3", 1.0, -2000)):
        write_ct(tmp_path / "LIDC-0001" / "series" / f"{name}.dcm", np.full((6, 6), value), z)
    write_ct(tmp_path / "LIDC-0001" / "scout" / "1.dcm", np.zeros((6, 6)), 0, ImageType=["ORIGINAL", "LOCALIZER"])
    write_ct(tmp_path / "LIDC-0001" / "xray" / "1.dcm", np.zeros((6, 6)), 0, Modality="DX")
    write_ct(tmp_path / "LIDC-0002" / "1.dcm", np.full((6, 6), 2024), 0)
    dataset = LIDC(str(tmp_path))
    assert [dataset[i].name for i in range(len(dataset))] == [
        *(f"LIDC-0001/series[{i}]" for i in range(3)),
        "LIDC-0002[0]",
    ]
    # Hounsfield 0 (water), −3024 (padding), −1000 (air), 1000 (bone), in the order of their heights.
    assert [float(truth(dataset, i).mean()) for i in range(4)] == pytest.approx([1, 0, 0, 2])
    assert float(truth(LIDC(str(tmp_path), water=0.02), 0).mean()) == pytest.approx(0.02)
    assert truth(LIDC(str(tmp_path), size=3), 0).shape == (1, 3, 3)
    assert len(LIDC(str(tmp_path), every=2)) == 3
    (tmp_path / "LIDC-0002" / "1.dcm").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"1\.dcm cannot be read as DICOM"):
        LIDC(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no folder of CT slices"):
        LIDC(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="there is no folder"):
        LIDC(str(tmp_path / "nowhere"))


def test_slices_of_a_file_with_several_arrays_need_a_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.ones((3, 8, 8)), two=np.zeros((2, 8, 8)))
    with pytest.raises(InputError, match="holds no single array ; name one"):
        ImageFolder(str(tmp_path), slice_axis=0)
    with pytest.raises(InputError, match="holds no single array three; name one"):
        ImageFolder(str(tmp_path), slice_axis=0, key="three")
    assert len(ImageFolder(str(tmp_path), slice_axis=0, key="two")) == 2
    with pytest.raises(InputError, match=r"shape \(3, 8, 8\) and no slice_axis 3"):
        ImageFolder(str(tmp_path), slice_axis=3, key="one")
