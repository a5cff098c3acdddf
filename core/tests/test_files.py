"""Files: every format against what was put in, every bad file as a sentence that names it."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from wellposed.errors import InputError
from wellposed.files import READABLE, WRITABLE, describe_file, read_array, write_array
from wellposed.files.dicom import series_of
from wellposed.files.matlab import read_text

SHARED = Path(os.environ.get("WELLPOSED_SHARED", Path(__file__).resolve().parents[2] / "../shared")) / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no shared data in {SHARED}")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((6, 5)).astype(np.float32)


def write_slice(path: Path, pixels: np.ndarray, z: float, series: str = "1.2.3", number: int = 1) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"{series}.{number}"
    data.Modality, data.SeriesInstanceUID, data.InstanceNumber = "CT", series, number
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.RescaleSlope, data.RescaleIntercept = 2, -1024
    data.PixelData = pixels.astype(np.int16).tobytes()
    data.save_as(path, enforce_file_format=True)


# Formats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".npy", ".npz", ".h5", ".mat", ".tif"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.complex64])
def test_written_arrays_come_back(tmp_path: Path, image: np.ndarray, extension: str, dtype: type) -> None:
    array = (image * 100).astype(dtype)
    if np.iscomplexobj(array):
        array = array + 1j * array[::-1]
        if extension == ".tif":
            with pytest.raises(InputError, match="TIFF holds real numbers"):
                write_array(tmp_path / "a.tif", array)
            return
    path = tmp_path / f"a{extension}"
    write_array(path, array)
    back = read_array(path)
    np.testing.assert_array_equal(back, array)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    (info,) = describe_file(path)
    assert info.shape == array.shape


def test_png_holds_eight_bits_of_floats_and_integers_exactly(tmp_path: Path, image: np.ndarray) -> None:
    write_array(tmp_path / "a.png", image)
    np.testing.assert_allclose(read_array(tmp_path / "a.png") / 255, image, atol=0.5 / 255 + 1e-6)
    for array in (
        np.arange(30, dtype=np.uint8).reshape(6, 5),
        np.arange(30, dtype=np.uint16).reshape(6, 5) * 2000,
    ):
        write_array(tmp_path / "b.png", array)
        np.testing.assert_array_equal(read_array(tmp_path / "b.png"), array)
        assert describe_file(tmp_path / "b.png")[0].dtype == str(array.dtype)
    with pytest.raises(InputError, match=r"b\.png cannot be written.*from 0 to 1"):
        write_array(tmp_path / "b.png", image + 5)
    np.testing.assert_array_equal(read_array(tmp_path / "b.png"), array)


def test_npy_is_memory_mapped_and_read_only(tmp_path: Path, image: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", image)
    array = read_array(tmp_path / "a.npy")
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


def test_foreign_byte_order_is_turned(tmp_path: Path, image: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", image.astype(">f4"))
    assert read_array(tmp_path / "a.npy").dtype == np.dtype("f4")
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), image)


def test_palettes_are_resolved_and_jpeg_and_pgm_read(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:2, :, 0], colours[2:, :, 2] = 200, 90
    Image.fromarray(colours).quantize(4).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_array(tmp_path / "a.png"), colours, atol=8)
    Image.fromarray(colours[..., 0]).save(tmp_path / "a.pgm")
    np.testing.assert_array_equal(read_array(tmp_path / "a.pgm"), colours[..., 0])
    Image.fromarray(colours).save(tmp_path / "A.JPG")
    assert read_array(tmp_path / "A.JPG").shape == (4, 4, 3)


def test_nifti_is_scaled_by_its_header(tmp_path: Path) -> None:
    volume = np.arange(24).reshape(2, 3, 4).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_array(tmp_path / "a.nii.gz"), volume)
    assert describe_file(tmp_path / "a.nii.gz")[0].shape == (2, 3, 4)


def test_dicom_gives_hounsfield_units_and_a_folder_the_ordered_volume(tmp_path: Path) -> None:
    heights = [3.0, -1.0, 7.5]
    for i, z in enumerate(heights):
        write_slice(tmp_path / f"{i}.dcm", np.full((4, 5), i), z, number=i)
    np.testing.assert_array_equal(read_array(tmp_path / "2.dcm"), np.full((4, 5), 2 * 2 - 1024.0))
    volume = read_array(tmp_path)
    np.testing.assert_array_equal(volume[:, 0, 0], 2 * np.argsort(heights) - 1024.0)
    assert describe_file(tmp_path)[0].shape == (3, 4, 5) == volume.shape
    write_slice(tmp_path / "other.dcm", np.zeros((4, 5)), 0, series="1.2.4")
    with pytest.raises(InputError, match=r"2 DICOM series; name one as key: 1\.2\.3, 1\.2\.4"):
        read_array(tmp_path)
    assert read_array(tmp_path, "1.2.4").shape == (1, 4, 5)
    assert [p.name for p in series_of(tmp_path)["1.2.3"]] == ["1.dcm", "0.dcm", "2.dcm"]


# Keys ---------------------------------------------------------------------------------------------


def test_several_datasets_need_a_key(tmp_path: Path, image: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["first"], file["group/second"] = image, image + 1
        file["name"] = "text"
    with pytest.raises(InputError, match=r"a\.h5 holds 2 datasets; name one as key: first, group/second"):
        read_array(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", "group/second"), image + 1)
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", "/group/second"), image + 1)
    with pytest.raises(InputError, match=r"no 'third'; its keys are first"):
        read_array(tmp_path / "a.h5", "third")
    with pytest.raises(InputError, match="holds text"):
        read_array(tmp_path / "a.h5", "name")


def test_old_matlab_structs_and_cells_have_dotted_keys(tmp_path: Path, image: np.ndarray) -> None:
    cell = np.empty((2, 2), object)
    for i in np.ndindex(2, 2):
        cell[i] = np.full((1, 2), 10.0 * i[0] + i[1])
    inner = {"angles": np.arange(3.0), "unit": "mm"}
    scipy.io.savemat(tmp_path / "a.mat", {"scan": {"sinogram": image, "parameters": inner}, "cell": cell})
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", "scan.sinogram"), image)
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", "scan.parameters.angles"), [[0, 1, 2]])
    # MATLAB counts down the columns: element 1 is cell{2, 1}.
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", "cell.1"), [[10, 10]])
    assert read_text(tmp_path / "a.mat", "scan.parameters.unit") == "mm"
    keys = [info.key for info in describe_file(tmp_path / "a.mat")]
    assert keys == ["scan.sinogram", "scan.parameters.angles", "cell.0", "cell.1", "cell.2", "cell.3"]
    with pytest.raises(InputError, match=r"'scan' is a struct or cell; name one array in it, such as scan\.sinogram"):
        read_array(tmp_path / "a.mat", "scan")
    with pytest.raises(InputError, match=r"no 'scan\.angle'; its keys are scan\.sinogram"):
        read_array(tmp_path / "a.mat", "scan.angle")
    with pytest.raises(InputError, match=r"no 'scam'; its keys are scan"):
        read_array(tmp_path / "a.mat", "scam")
    with pytest.raises(InputError, match="holds text"):
        read_array(tmp_path / "a.mat", "scan.parameters.unit")


def test_new_matlab_files_come_in_matlab_order(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    pairs = np.empty((3, 2), [("real", "f8"), ("imag", "f8")])
    pairs["real"], pairs["imag"] = array.T, -array.T
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["s/real"], file["s/complex"] = array.T, pairs
        file["s"].attrs["MATLAB_class"] = np.bytes_("struct")
        file["s/name"] = np.array([[104], [105]], np.uint16)
        file["s/name"].attrs["MATLAB_class"] = np.bytes_("char")
        sparse = file.create_group("sparse")
        sparse.attrs["MATLAB_sparse"] = np.uint64(2)
        sparse["data"], sparse["ir"], sparse["jc"] = [5.0, 6.0], np.array([1, 0]), np.array([0, 1, 1, 2])
        refs = file.create_dataset("cell", (2, 1), h5py.ref_dtype)
        refs[0, 0], refs[1, 0] = file["s/real"].ref, file["s/complex"].ref
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", "s.real"), array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", "s.complex"), array - 1j * array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", "cell.1"), array - 1j * array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.mat", "sparse"), [[0, 0, 6], [5, 0, 0]])
    assert read_text(tmp_path / "a.mat", "s.name") == "hi"
    with pytest.raises(InputError, match="holds text"):
        read_array(tmp_path / "a.mat", "s.name")


def test_keys_are_refused_where_a_format_has_none(tmp_path: Path, image: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", image)
    with pytest.raises(InputError, match="holds one array and no keys"):
        read_array(tmp_path / "a.npy", "x")


# Bad files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", READABLE)
def test_damaged_and_empty_files_are_told(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"bad{extension}"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"bad\{extension} is empty"):
        read_array(path)
    for content in (
        b"this is no data at all, only text\n" * 40,
        os.urandom(3000),
        b"\x93NUMPY\x01",
        b"PK\x03\x04",
    ):
        path.write_bytes(content)
        for function in (read_array, describe_file):
            with pytest.raises(InputError, match=rf"bad\{extension}"):
                function(path)


@pytest.mark.parametrize("extension", WRITABLE)
def test_files_cut_in_the_middle_are_told(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"cut{extension}"
    write_array(path, np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut"):
        read_array(path)


def test_missing_files_and_unknown_extensions_are_told(tmp_path: Path, image: np.ndarray) -> None:
    np.save(tmp_path / "sinogram.npy", image)
    with pytest.raises(InputError, match=r"there is no file .*sinogramm\.npy; sinogram\.npy lies beside it"):
        read_array(tmp_path / "sinogramm.npy")
    with pytest.raises(InputError, match="there is no folder"):
        read_array(tmp_path / "nowhere" / "a.npy")
    (tmp_path / "a.xyz").write_text("1")
    with pytest.raises(InputError, match=r"a\.xyz has no extension that can be read; those are \.npy"):
        read_array(tmp_path / "a.xyz")
    with pytest.raises(InputError, match=r"a\.jpg has no extension that can be written"):
        write_array(tmp_path / "a.jpg", image)
    with pytest.raises(InputError, match="there is no folder"):
        write_array(tmp_path / "nowhere" / "a.npy", image)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="folder without DICOM slices"):
        read_array(tmp_path / "empty")


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "a.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([Trap()], object))
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npy", "a.npz", "b.npy"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            read_array(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_empty_arrays_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 4)))
    with pytest.raises(InputError, match=r"a\.npy holds an empty array of shape \(0, 4\)"):
        read_array(tmp_path / "a.npy")


def test_a_missing_library_is_named_with_its_package(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_array(tmp_path / "a.h5", image)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="pip install h5py"):
        read_array(tmp_path / "a.h5")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    write_array(path, image)

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(InputError, match=r"a\.npy cannot be written: No space left"):
        write_array(path, image + 1)
    np.testing.assert_array_equal(read_array(path), image)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def test_importing_reads_no_library() -> None:
    code = (
        "import sys, wellposed.files; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'scipy', 'h5py', 'PIL', 'nibabel', 'pydicom')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Measured data ------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    ("file", "key", "shape", "dtype"),
    [
        ("real/ct/htc2022_tb_limited_90.mat", "CtDataLimited.sinogram", (181, 560), "float64"),
        ("real/ct/htc2022_solid_disc_subsample73.mat", "CtDataLimited.sinogram", (61, 560), "float64"),
        ("real/ct/htc2022_solid_disc_subsample73.mat", "CtDataLimited.parameters.angles", (1, 61), "float64"),
        ("real/ct/sinogram_360_neutron_image.tif", None, (459, 503), "uint16"),
        ("real/mri/brain_alias_8ch.mat", None, (320, 256, 8), "complex128"),
        ("real/mri/cartesian_ksp.npy", None, (8, 230, 180), "complex64"),
        ("real/blur/Levin09.mat", "kernels.3", (27, 27), "float64"),
        ("extra/tomo_real/RealDataDend.mat", "sinoRD", (1260, 360), "float32"),
        ("sparse/admmcsnet/Brain_cdata1.mat", None, (256, 256), "complex128"),
        ("sparse/admmcsnet/D-0.1.mat", "mask.perm", (6554, 65536), "float64"),
        ("sparse/admmnet_cardiac_train100/im-01.mat", "im_ori", (256, 256), "float64"),
        ("sparse/mri_masks/2D-random-0.2.mat", "mask", (256, 256), "float64"),
        ("sparse/mri_masks/mask_30.mat", "mask_matrix", (256, 256), "uint8"),
        ("sparse/phi/phi_0_10_1089.mat", "phi", (109, 1089), "float64"),
        ("extra/att_faces/s1/1.pgm", None, (112, 92), "uint8"),
        ("extra/pysap_mri/BrainPhantom512.nii.gz", None, (512, 512), "uint8"),
    ],
)
def test_measured_files(file: str, key: str | None, shape: tuple[int, ...], dtype: str) -> None:
    if file.endswith("D-0.1.mat"):
        assert (key, shape) in {(info.key, info.shape) for info in describe_file(SHARED / file)}
        return
    array = read_array(SHARED / file, key)
    assert array.shape == shape
    assert array.dtype == dtype
    assert np.isfinite(array).all()


@needs_shared
def test_both_matlab_versions_have_the_same_keys() -> None:
    infos = describe_file(SHARED / "real/ct/htc2022_solid_disc_subsample73.mat")
    old = describe_file(SHARED / "real/ct/htc2022_tb_category7_30deg.mat")
    assert {i.key for i in infos} == {i.key for i in old}
    assert read_text(SHARED / "real/ct/htc2022_tb_category7_30deg.mat", "CtDataLimited.parameters.projectName")


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_nifti_is_scaled_as_its_header_says(name: str, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.5, -3.0)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"measured on a Monday"))
    content = image.to_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = read_array(tmp_path / name)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, stored * 0.5 - 3)


def test_archives_may_hold_other_things_than_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", y=np.ones(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("readme.txt", "measured on a Monday")
    assert [info.key for info in describe_file(tmp_path / "a.npz")] == ["y"]
    assert read_array(tmp_path / "a.npz").sum() == 3


@pytest.mark.parametrize("name", ["v.nii.gz", "v.npz", "v.png", "v.tif", "v.mat", "v.h5"])
def test_numbers_that_their_checksum_denies_are_not_read(name: str, tmp_path: Path) -> None:
    """Bits of the numbers of each packed file are flipped in turn: the array is the same or none comes."""
    from PIL import Image

    path, array = tmp_path / name, np.random.default_rng(0).integers(0, 200, (40, 40)).astype(np.uint8)
    if name == "v.png":  # one that packs well: with the last row the decoder is done, whatever follows
        array = (np.outer(np.arange(40), np.arange(40)) // 8).astype(np.uint8)
    if name == "v.nii.gz":
        path.write_bytes(gzip.compress(nibabel.Nifti1Image(array, np.eye(4)).to_bytes()))
    elif name == "v.tif":
        Image.fromarray(array).save(path, compression="tiff_adobe_deflate")
    elif name == "v.h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("y", data=array, chunks=(40, 40), compression=4)
    else:
        write_array(path, array)
    whole = path.read_bytes()
    start = whole.find(b"\x78\x9c") + 2 if b"\x78\x9c" in whole else len(whole) // 2
    for place in range(start, min(start + 1200, len(whole) - 20), 1 if name == "v.png" else 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            found = read_array(path)
        except InputError:
            continue
        np.testing.assert_array_equal(found, array, err_msg=f"byte {place} of {len(whole)}")
