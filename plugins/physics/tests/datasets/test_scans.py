"""Measured tomography: geometry, merging, flat fields, centres of rotation, bad files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import yaml

from wellposed.cli import main
from wellposed.errors import InputError
from wellposed.files import write_array
from wellposed_physics.ct.parallel_beam import ParallelBeam
from wellposed_physics.datasets.htc2022 import HTC2022
from wellposed_physics.datasets.rotation_centre import estimated_rotation_centre
from wellposed_physics.datasets.shepp_logan import SheppLogan
from wellposed_physics.datasets.sinogram_file import SinogramFile
from wellposed_physics.metrics.matthews import Matthews


def measurement(dataset: Any) -> torch.Tensor:
    sample = dataset[0]
    assert sample.measurement is not None
    assert sample.operator is not None
    sample.operator.check_range(sample.measurement[None])
    return sample.measurement


# HTC 2022 -----------------------------------------------------------------------------------------


def write_htc(path: Path, angles: np.ndarray, rows: np.ndarray, name: str = "htc2022_tx_", **changed: float) -> None:
    parameters: dict[str, Any] = {
        "projectName": name,
        "distanceSourceOrigin": 410.66,
        "distanceSourceDetector": 553.74,
        "angles": angles,
        "pixelSizePost": 0.2,
        "effectivePixelSizePost": 0.148322,
        **changed,
    }
    scipy.io.savemat(path, {"CtDataLimited": {"type": "2d", "sinogram": rows, "parameters": parameters}})


def test_views_of_several_files_are_merged_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((10, 40))
    write_htc(tmp_path / "a.mat", np.arange(4, 10) * 0.5, rows[4:])
    write_htc(tmp_path / "b.mat", np.arange(6) * 0.5, rows[:6])
    both = HTC2022([str(tmp_path / "a.mat"), str(tmp_path / "b.mat")], size=16)
    np.testing.assert_allclose(both.angles, np.arange(10) * 0.5)
    np.testing.assert_allclose(measurement(both)[0], rows, rtol=1e-6)
    assert len(both) == 1
    assert both[0].name == "htc2022_tx"
    some = HTC2022(str(tmp_path / "a.mat"), start=2.5, stop=4.0, step=2, reduce_bins=3, size=16)
    np.testing.assert_allclose(some.angles, [2.5, 3.5])
    np.testing.assert_allclose(measurement(some)[0], rows[[5, 7], :39].reshape(2, 13, 3).mean(2), rtol=1e-6)
    geometry = some.operator.geometry
    assert geometry.bin_spacing == pytest.approx(0.6)
    assert geometry.rotation_centre == pytest.approx((19.5 - 1) / 3)
    assert geometry.pixel_size == pytest.approx(0.148322 * 512 / 16)
    # Through 360 degrees, in the order in which they are passed.
    write_htc(tmp_path / "c.mat", np.arange(0, 360, 40.0), rng.random((9, 40)))
    np.testing.assert_allclose(HTC2022(str(tmp_path / "c.mat"), start=300, stop=40, size=8).angles, [320, 0, 40])


def test_files_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((4, 40))
    angles = np.arange(4) * 0.5
    write_htc(tmp_path / "a.mat", angles, rows)
    write_htc(tmp_path / "name.mat", angles + 9, rows, name="htc2022_ty_")
    write_htc(tmp_path / "geometry.mat", angles + 9, rows, distanceSourceOrigin=400.0)
    write_htc(tmp_path / "rows.mat", angles, rows[::-1])
    write_htc(tmp_path / "angles.mat", angles[:3], rows)
    scipy.io.savemat(tmp_path / "other.mat", {"x": rows})
    for name in ("name", "geometry"):
        with pytest.raises(InputError, match="not scans of one object"):
            HTC2022([str(tmp_path / "a.mat"), str(tmp_path / f"{name}.mat")])
    with pytest.raises(InputError, match="differ at 0°: they show different objects"):
        HTC2022([str(tmp_path / "a.mat"), str(tmp_path / "rows.mat")])
    with pytest.raises(InputError, match=r"angles\.mat has 3 angles"):
        HTC2022(str(tmp_path / "angles.mat"))
    with pytest.raises(InputError, match=r"other\.mat is no file of HTC 2022"):
        HTC2022(str(tmp_path / "other.mat"))
    with pytest.raises(InputError, match="no view of a"):
        HTC2022(str(tmp_path / "a.mat"), start=100, stop=120)
    with pytest.raises(InputError, match="at least one file"):
        HTC2022([])


def test_the_measured_phantom_and_its_segmentation(shared: Path) -> None:
    ct = shared / "real/ct"
    dataset = HTC2022(
        [str(p) for p in sorted(ct.glob("htc2022_tb_limited_*.mat"))],
        size=128,
        reduce_bins=4,
        reference=str(ct / "htc2022_tb_groundtruth_seg.png"),
    )
    sample = dataset[0]
    y = measurement(dataset)
    assert y.shape == (1, 539, 140)
    assert sample.truth is not None
    assert sample.truth.unique().tolist() == [0, 1]
    x = dataset.operator.pinv(y[None])
    assert float(Matthews()(x, sample.truth[None])) > 0.95


def test_both_matlab_versions_of_the_challenge(shared: Path) -> None:
    for name, views in (
        ("solid_disc_subsample73", 61),
        ("ta_60deg_example", 121),
        ("tb_category7_30deg", 61),
    ):
        dataset = HTC2022(str(shared / f"real/ct/htc2022_{name}.mat"), size=64, reduce_bins=8)
        assert measurement(dataset).shape == (1, views, 70)
        assert dataset.operator.geometry.bin_spacing == pytest.approx(1.6)


# Sinogram files -----------------------------------------------------------------------------------


@pytest.fixture
def scan() -> tuple[ParallelBeam, np.ndarray]:
    """A phantom over a full turn, with the axis off the middle; 40 views, 61 bins."""
    operator = ParallelBeam((40, 40), 40, arc=2 * math.pi, first=0.0, bins=61, rotation_centre=26.4)
    truth = SheppLogan(40)[0].truth
    assert truth is not None
    return operator, operator(truth[None])[0, 0].double().numpy()


def test_intensities_become_line_integrals(tmp_path: Path, scan: tuple[ParallelBeam, np.ndarray]) -> None:
    operator, rows = scan
    counts = np.round(50_000 * np.exp(-0.05 * rows)).astype(np.uint16)
    counts[3, 20:22] = 0  # dead for one view
    write_array(tmp_path / "a.tif", counts)
    for flat_field in ("border-median", 50_000.0):
        dataset = SinogramFile(
            str(tmp_path / "a.tif"),
            arc=360,
            unit="degree",
            flat_field=flat_field,
            scale=20.0,
            rotation_centre=26.4,
            size=40,
        )  # type: ignore[arg-type]
        y = measurement(dataset)[0].numpy()
        np.testing.assert_allclose(np.delete(y, 3, 0), np.delete(rows, 3, 0), atol=0.01)
        assert np.abs(y[3, 20:22] - rows[3, 20:22]).max() < 1.5
        np.testing.assert_allclose(dataset.angles, operator.geometry.angles)
    assert dataset.operator.geometry.pixel_size == pytest.approx(61 / 40)
    counts[7] = 0
    write_array(tmp_path / "a.tif", counts)
    with pytest.raises(InputError, match="view 7 counted nothing"):
        SinogramFile(str(tmp_path / "a.tif"), flat_field=1.0)


def test_angles_from_every_source(tmp_path: Path, scan: tuple[ParallelBeam, np.ndarray]) -> None:
    _, rows = scan
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"sino": rows.T, "theta": np.linspace(3, 6, 40)})

    def angles(**options: Any) -> np.ndarray:
        return SinogramFile(str(path), "sino", transposed=True, size=8, **options).angles

    np.testing.assert_allclose(angles(), np.arange(40) * math.pi / 40)
    np.testing.assert_allclose(angles(arc=360, unit="degree"), np.arange(40) * math.pi / 20)
    np.testing.assert_allclose(angles(last=180, unit="degree"), np.linspace(0, math.pi, 40))
    np.testing.assert_allclose(angles(angles="theta"), np.linspace(3, 6, 40))
    np.testing.assert_allclose(angles(angles=list(range(40)), unit="degree"), np.arange(40) * math.pi / 180)
    np.testing.assert_allclose(angles(view_step=3), np.arange(0, 40, 3) * math.pi / 40)
    with pytest.raises(InputError, match="give one"):
        angles(arc=180, last=180)
    with pytest.raises(InputError, match="40 views and 39 angles"):
        angles(angles=list(range(39)), unit="degree")
    with pytest.raises(InputError, match=r"61 views and 40 angles.*transposed"):
        SinogramFile(str(path), "sino", angles="theta")


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_reduced_bins_measure_the_same_object(
    tmp_path: Path, scan: tuple[ParallelBeam, np.ndarray], factor: int
) -> None:
    """Neighbouring bins averaged, the centre moved along: the reconstruction stays where it was."""
    _, rows = scan
    np.save(tmp_path / "a.npy", rows)
    dataset = SinogramFile(
        str(tmp_path / "a.npy"),
        arc=360,
        unit="degree",
        rotation_centre=26.4,
        reduce_bins=factor,
        offset="border-median",
        size=40,
    )
    x = dataset.operator.filtered_backprojection(measurement(dataset)[None], filter="hann")[0, 0]
    weight = x.clamp_min(0) / x.clamp_min(0).sum()
    line = (torch.arange(40) - 19.5) * dataset.operator.geometry.pixel_size
    truth = SheppLogan(40)[0].truth
    assert truth is not None
    share = truth[0] / truth.sum()
    own = torch.arange(40) - 19.5
    # The object's centre of mass and width in pixels of the phantom.
    for axis in (0, 1):
        assert float((weight.sum(axis) * line).sum()) == pytest.approx(float((share.sum(axis) * own).sum()), abs=0.35)


def test_bad_sinograms_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "volume.npy", np.zeros((3, 4, 5)))
    np.save(tmp_path / "nan.npy", np.full((3, 4), np.nan))
    np.save(tmp_path / "complex.npy", np.ones((3, 4), complex))
    np.save(tmp_path / "good.npy", np.ones((3, 9)))
    for name, text in (("volume", r"\(3, 4, 5\)"), ("nan", "not finite"), ("complex", "real array")):
        with pytest.raises(InputError, match=rf"{name}\.npy.*|.*{text}"):
            SinogramFile(str(tmp_path / f"{name}.npy"))
    for options in ({"flat_field": -1.0}, {"rotation_centre": 20.0}, {"reduce_bins": 10}, {"unit": "grad"}):
        with pytest.raises(InputError):
            SinogramFile(str(tmp_path / "good.npy"), **options)
    with pytest.raises(InputError, match="estimated from opposite views only"):
        SinogramFile(str(tmp_path / "good.npy"), arc=0.35, rotation_centre="estimated")


# Rotation centre ----------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [24.0, 26.4, 30.0, 33.5])
@pytest.mark.parametrize("arc", [2 * math.pi, math.pi])
def test_the_rotation_centre_is_found(centre: float, arc: float) -> None:
    truth = SheppLogan(40)[0].truth
    assert truth is not None
    views = 90 if arc > 4 else 180
    operator = ParallelBeam((40, 40), views, arc=arc, first=0.0, bins=61, rotation_centre=centre)
    shifted = torch.roll(truth, (3, -4), (1, 2))
    rows = operator(shifted[None])[0, 0].double().numpy()
    found = estimated_rotation_centre(rows, operator.geometry.angles)
    assert found == pytest.approx(centre, abs=0.15 if arc > 4 else 0.5)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_run_says_the_centre_that_it_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan: tuple[ParallelBeam, np.ndarray], wrapped: bool
) -> None:
    """In its report, its results and its recipe, which then runs to the same image without estimating."""
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", scan[1])
    node = "{use: sinogram-file, path: rows.npy, arc: 360, unit: degree, rotation_centre: estimated, reduce_bins: 2}"
    data = f"{{use: selection, data: {node}}}" if wrapped else node
    Path("scan.yaml").write_text(f"data: {data}\nsolvers: {{fbp: filtered-backprojection}}\nmetrics: []\n")
    with pytest.raises(SystemExit, match="0"):
        main(["run", "scan.yaml", "--out", "first"])
    (name, value), *others = json.loads(Path("first/results.json").read_text())["estimated"].items()
    assert not others
    assert name == ("data.rotation_centre" if wrapped else "rotation_centre")
    assert value == pytest.approx(26.4, abs=0.15)
    page = Path("first/report.html").read_text()
    assert f"estimated {name}" in page
    assert f"{value:.6g}" in page
    recipe = yaml.safe_load(Path("first/recipe.yaml").read_text())
    written = recipe["data"]["data"] if wrapped else recipe["data"]
    assert written["rotation_centre"] == value
    with pytest.raises(SystemExit, match="0"):
        main(["run", "first/recipe.yaml", "--out", "second"])
    assert "estimated" not in json.loads(Path("second/results.json").read_text())
    images = [np.load(next(Path(run, "reconstructions").glob("*.npy"))) for run in ("first", "second")]
    np.testing.assert_array_equal(*images)


def test_measured_scans_and_their_centres(shared: Path) -> None:
    neutron = SinogramFile(
        str(shared / "real/ct/sinogram_360_neutron_image.tif"),
        last=360,
        unit="degree",
        flat_field="border-median",
        rotation_centre="estimated",
        size=64,
    )
    y = measurement(neutron)
    assert y.shape == (1, 459, 503)
    assert neutron.rotation_centre == pytest.approx(245, abs=0.2)
    assert -0.2 < float(y.min()) < float(y.max()) < 7  # the zeros of the dead bin are gone
    synchrotron = SinogramFile(
        str(shared / "extra/tomo_real/RealDataDend.mat"),
        key="sinoRD",
        transposed=True,
        angles="anglesRad",
        unit="radian",
        rotation_centre="estimated",
        size=64,
    )
    assert measurement(synchrotron).shape == (1, 360, 1260)
    assert synchrotron.rotation_centre == pytest.approx(628, abs=2)
    assert float(np.ptp(synchrotron.angles)) == pytest.approx(math.pi, abs=0.01)
