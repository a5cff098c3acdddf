"""Measured k-space: masks, coil maps, references, fastMRI files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed_physics.datasets.fastmri import FastMRI
from wellposed_physics.datasets.k_space_file import KSpaceFile
from wellposed_physics.datasets.kspace import calibration_side, is_complete
from wellposed_physics.datasets.shepp_logan import SheppLogan
from wellposed_physics.metrics.psnr import PSNR
from wellposed_physics.mri.coil_maps import Birdcage
from wellposed_physics.mri.fourier import Fourier
from wellposed_physics.mri.masks import CartesianMask
from wellposed_physics.mri.multicoil import MulticoilFourier

SIZE = 48


def phantom(size: int = SIZE) -> Tensor:
    truth = SheppLogan(size)[0].truth
    assert truth is not None
    return truth + 0j


@pytest.fixture(scope="module")
def kspace() -> Tensor:
    """Four coils, fully sampled, `(coils, H, W)`."""
    return MulticoilFourier((SIZE, SIZE), sensitivities=Birdcage(4))(phantom()[None])[0]


def test_full_k_space_gives_the_image_and_its_reference(tmp_path: Path, kspace: Tensor) -> None:
    np.save(tmp_path / "a.npy", 7 * np.moveaxis(kspace.numpy(), 0, 2))
    dataset = KSpaceFile(str(tmp_path / "a.npy"), coil_axis=-1)
    sample = dataset[0]
    assert sample.measurement is not None
    assert sample.truth is not None
    assert isinstance(sample.operator, MulticoilFourier)
    assert sample.measurement.shape == (4, SIZE, SIZE)
    assert sample.truth.shape == (1, SIZE, SIZE)
    assert float(sample.truth.abs().max()) == pytest.approx(1, abs=0.01)
    # Up to the estimated maps' support, the reference is the phantom, and the operator explains the data.
    inside = phantom().abs() > 0
    torch.testing.assert_close(sample.truth.abs()[inside], phantom().abs()[inside], atol=0.03, rtol=0)
    residual = sample.operator(sample.truth[None])[0] - sample.measurement
    assert float(residual.norm() / sample.measurement.norm()) < 0.1


def test_retrospective_undersampling_keeps_the_reference(tmp_path: Path, kspace: Tensor) -> None:
    np.save(tmp_path / "a.npy", kspace.numpy())
    mask = CartesianMask(acceleration=2.0, center_fraction=0.3)
    sample, full = KSpaceFile(str(tmp_path / "a.npy"), mask=mask)[0], KSpaceFile(str(tmp_path / "a.npy"))[0]
    assert sample.measurement is not None
    assert full.measurement is not None
    assert sample.truth is not None
    chosen = mask((SIZE, SIZE))
    torch.testing.assert_close(sample.measurement, full.measurement * chosen)
    assert isinstance(sample.operator, MulticoilFourier)
    aliased = sample.operator.zero_filled(sample.measurement[None])
    solved = sample.operator.solve_normal(sample.operator.adjoint(sample.measurement[None]), 1e-4)
    metric = PSNR()
    assert float(metric(solved, sample.truth[None])) > float(metric(aliased, sample.truth[None])) + 3


def test_undersampled_files_have_no_reference_and_zero_filled_ones_have(tmp_path: Path, kspace: Tensor) -> None:
    padded = kspace.clone()
    padded[:, :, :8] = 0
    padded[:, :, 44:] = 0
    np.save(tmp_path / "padded.npy", padded.numpy())
    assert KSpaceFile(str(tmp_path / "padded.npy"))[0].truth is not None
    thinned = kspace.clone()
    thinned[:, :, 3] = 0
    np.save(tmp_path / "thinned.npy", thinned.numpy())
    sample = KSpaceFile(str(tmp_path / "thinned.npy"), maps="smooth")[0]
    assert sample.truth is None
    assert isinstance(sample.operator, MulticoilFourier)
    assert not bool(sample.operator.get_buffer("mask")[:, 3].any())


def test_one_coil_needs_no_maps(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", Fourier((SIZE, SIZE))(phantom()[None])[0, 0].numpy())
    sample = KSpaceFile(str(tmp_path / "a.npy"))[0]
    assert isinstance(sample.operator, Fourier)
    torch.testing.assert_close(sample.truth, phantom(), atol=1e-5, rtol=0)
    turned = KSpaceFile(str(tmp_path / "a.npy"), transposed=True)[0].truth
    torch.testing.assert_close(turned, phantom().mT, atol=1e-5, rtol=0)


def test_masks_and_squares() -> None:
    mask = torch.zeros(20, 20, dtype=torch.bool)
    mask[4:16, 3:17] = True
    assert is_complete(mask)
    assert calibration_side(mask, "x") == 12
    mask[5, 5] = False
    assert not is_complete(mask)
    mask[10, 10] = False
    with pytest.raises(InputError, match="central 8 × 8 samples"):
        calibration_side(mask, "x")


def test_bad_k_space_is_told(tmp_path: Path, kspace: Tensor) -> None:
    for name, array, text in (
        ("real", np.ones((4, 8, 8)), "k-space is complex; this array is float64"),
        ("shape", np.ones((2, 2, 8, 8), complex), r"not \(2, 2, 8, 8\)"),
        ("zero", np.zeros((2, 8, 8), complex), "zero everywhere"),
        ("nan", np.full((2, 8, 8), np.nan + 0j), "not finite"),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(InputError, match=text):
            KSpaceFile(str(tmp_path / f"{name}.npy"))
    np.save(tmp_path / "a.npy", kspace.numpy())
    with pytest.raises(InputError, match="coil_axis"):
        KSpaceFile(str(tmp_path / "a.npy"), coil_axis=3)
    with pytest.raises(InputError, match="centre of k-space"):
        KSpaceFile(str(tmp_path / "a.npy"), mask=CartesianMask(acceleration=4.0, center_fraction=0.05))


def test_measured_brains(shared: Path) -> None:
    dataset = KSpaceFile(str(shared / "real/mri/brain_alias_8ch.mat"), key="DATA", coil_axis=2, maps="smooth")
    sample = dataset[0]
    assert sample.measurement is not None
    assert sample.measurement.shape == (8, 320, 256)
    columns = (sample.measurement != 0).any(0).any(0).nonzero().flatten()
    assert (int(columns[0]), int(columns[-1]), len(columns)) == (44, 211, 168)
    assert sample.truth is not None
    assert sample.truth.is_complex()
    poisson = KSpaceFile(str(shared / "real/mri/cartesian_ksp.npy"), maps="smooth")[0]
    assert poisson.measurement is not None
    assert poisson.measurement.shape == (8, 230, 180)
    assert poisson.truth is None
    assert float((poisson.measurement != 0).any(0).float().mean()) == pytest.approx(0.124, abs=0.001)


# fastMRI ------------------------------------------------------------------------------------------


def write_volume(path: Path, kspace: np.ndarray, **datasets: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace.astype(np.complex64)
        for name, value in datasets.items():
            file[name] = value


def oversampled(scale: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
    """k-space (coils, 96, 60) whose central 48 × 48 pixels show the phantom, and its root sum of squares."""
    wide = torch.zeros(1, 96, 60, dtype=torch.complex64)
    wide[:, 24:72, 6:54] = phantom() * scale
    operator = MulticoilFourier((96, 60), sensitivities=Birdcage(4))
    kspace = operator(wide[None])
    rss = operator.root_sum_of_squares(kspace)[0, 0]
    return kspace[0].numpy(), rss[24:72, 6:54].numpy()


def test_slices_are_cut_and_scaled_with_their_reference(tmp_path: Path) -> None:
    kspace, rss = oversampled()
    write_volume(tmp_path / "a.h5", np.stack([kspace, 2 * kspace]), reconstruction_rss=np.stack([rss, 2 * rss]))
    write_volume(tmp_path / "b.h5", np.stack([kspace]))
    dataset = FastMRI(str(tmp_path), size=48)
    assert len(dataset) == 3
    for i, name in enumerate(("a[0]", "a[1]", "b[0]")):  # the last has no reference in its file
        sample = dataset[i]
        assert sample.name == name
        assert sample.measurement is not None
        assert sample.truth is not None
        assert sample.operator is not None
        assert sample.measurement.shape == (4, 48, 48)
        torch.testing.assert_close(sample.truth, phantom().abs(), atol=2e-3, rtol=0)
        found = sample.operator.pinv(sample.measurement[None])[0].abs()
        assert float(PSNR()(found[None], sample.truth[None])) > 25
    whole = FastMRI(str(tmp_path), size=None)[2]
    assert whole.measurement is not None
    assert whole.measurement.shape == (4, 96, 60)
    chosen = FastMRI(str(tmp_path / "a.h5"), slices=[-1], size=48)
    assert [chosen[i].name for i in range(len(chosen))] == ["a[1]"]
    with pytest.raises(InputError, match="none numbered 1"):
        FastMRI(str(tmp_path), slices=[1])


def test_retrospective_masks_and_the_test_set(tmp_path: Path) -> None:
    kspace, _ = oversampled()
    write_volume(tmp_path / "a.h5", kspace[None])
    mask = CartesianMask(acceleration=2.0, center_fraction=0.4)
    sample = FastMRI(str(tmp_path / "a.h5"), size=48, mask=mask)[0]
    assert sample.measurement is not None
    assert sample.truth is not None
    assert torch.equal((sample.measurement != 0).any(0), mask((48, 48)) & (sample.measurement != 0).any(0))
    lines = np.zeros(60, bool)
    lines[::2] = lines[20:40] = True
    write_volume(tmp_path / "b.h5", (kspace * lines)[None], mask=lines)
    tested = FastMRI(str(tmp_path / "b.h5"), size=48)[0]
    assert tested.truth is None
    assert tested.measurement is not None
    assert tested.measurement.shape == (4, 48, 60)  # cut along the readout alone
    assert torch.equal((tested.measurement != 0).any(0).any(0), torch.from_numpy(lines))


def test_single_coil_volumes(tmp_path: Path) -> None:
    kspace = Fourier((SIZE, SIZE))(phantom()[None])[0].numpy()
    write_volume(tmp_path / "a.h5", kspace, reconstruction_esc=phantom().abs().numpy())
    sample = FastMRI(str(tmp_path / "a.h5"))[0]
    assert isinstance(sample.operator, Fourier)
    assert sample.measurement is not None
    torch.testing.assert_close(sample.operator.pinv(sample.measurement[None])[0].abs(), sample.truth, atol=1e-4, rtol=0)


def test_bad_volumes_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no file that ends in \.h5"):
        FastMRI(str(tmp_path))
    (tmp_path / "a.h5").write_bytes(b"no volume")
    with pytest.raises(InputError, match=r"a\.h5 cannot be read as HDF5"):
        FastMRI(str(tmp_path))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other"] = np.ones(3)
    with pytest.raises(InputError, match=r"a\.h5 has no dataset kspace .*; it has other"):
        FastMRI(str(tmp_path))
    write_volume(tmp_path / "a.h5", np.zeros((1, 2, 16, 16)))
    with pytest.raises(InputError, match=r"a\.h5\[0\] is zero everywhere"):
        FastMRI(str(tmp_path))[0]


def test_lines_that_were_not_measured_to_their_ends_count_as_lines(tmp_path: Path) -> None:
    """Zero-padded along the readout: a line is observed where any of its samples is."""
    kspace, _ = oversampled()
    lines = np.zeros(60, bool)
    lines[::2] = lines[20:40] = True
    padded = kspace * lines
    padded[:, :8] = 0
    write_volume(tmp_path / "a.h5", padded[None], mask=lines)
    sample = FastMRI(str(tmp_path / "a.h5"), size=48)[0]
    assert sample.measurement is not None
    assert torch.equal((sample.measurement != 0).any(0).any(0), torch.from_numpy(lines))
