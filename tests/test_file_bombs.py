"""Files of some megabytes that unpack to 600: refused before the memory is taken, whatever their headers say."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from forked import forked

from wellposed.errors import InputError, ShapeError
from wellposed.files import describe_file, read_array, write_array
from wellposed.files.limits import limit_of
from wellposed.measurement_file import MeasurementFile

SIZE = 600_000_000
BLOCK = bytes(1_000_000)


def zeros(packer: Any, size: int = SIZE, before: bytes = b"") -> bytes:
    """`before` and then `size` zeros, packed."""
    parts = [packer.compress(before)]
    parts += [packer.compress(BLOCK) for _ in range(size // len(BLOCK))]
    return b"".join([*parts, packer.flush()])


def deflated(before: bytes = b"") -> bytes:
    return zeros(zlib.compressobj(1), before=before)


def gzipped(before: bytes) -> bytes:
    return zeros(zlib.compressobj(1, zlib.DEFLATED, 31), before=before)


def nifti_header(shape: tuple[int, int, int], offset: float = 352.0) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", offset
    return header.binaryblock


def nifti(path: Path) -> None:
    path.write_bytes(gzipped(nifti_header((600, 1000, 1000)) + bytes(4)))


def nifti_with_an_extension(path: Path) -> None:
    path.write_bytes(gzipped(nifti_header((8, 8, 1), 400.0) + b"\1\0\0\0" + struct.pack("<ii", SIZE - 1000, 6)))


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matlab(path: Path, dims: tuple[int, int] = (7500, 10_000)) -> None:
    head = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<ii", *dims)) + element(1, b"y")
    body = struct.pack("<II", 9, SIZE)  # doubles
    whole = struct.pack("<II", 14, len(head) + 8 + SIZE) + head + body
    packed = deflated(whole)
    text = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM"
    path.write_bytes(text + struct.pack("<II", 15, len(packed)) + packed)


def matlab_that_lies(path: Path) -> None:
    matlab(path, dims=(8, 8))


def matlab_sparse(path: Path) -> None:
    from scipy import io as scipy_io
    from scipy import sparse

    scipy_io.savemat(path, {"y": sparse.csc_array(([1.0], ([3], [4])), shape=(20_000, 20_000))})


def matlab_sparse_73(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("y")
        group.attrs["MATLAB_sparse"] = np.uint64(1 << 20)
        group["data"], group["ir"], group["jc"] = [1.0], [3], np.r_[0, np.ones(10_000)].astype(np.uint64)


def numpy_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("y.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (SIZE,)})
        for _ in range(SIZE // len(BLOCK)):
            stream.write(BLOCK)


def numpy_header(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("y.npy", "w") as stream:
        stream.write(b"\x93NUMPY\2\0" + struct.pack("<I", SIZE - 1000))
        for _ in range(SIZE // len(BLOCK)):
            stream.write(BLOCK)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("y", (600, 1000, 1000), np.uint8, chunks=(60, 1000, 1000), compression=1)
        for i in range(0, 600, 60):
            data[i : i + 60] = 0


def hdf5_with_a_piece_that_lies(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("y", (8, 8), np.uint8, chunks=(8, 8), compression=6)
        data.id.write_direct_chunk((0, 0), deflated())


def png(path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 12_000, 12_000, 16, 6, 0, 0, 0)  # 1.2 GB; Pillow itself refuses more pixels
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", deflated()) + chunk(b"IEND", b""))


def tiff(path: Path, side: int = 24_495) -> None:
    packed = deflated()
    tags = [(256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 4, side), (279, 4, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    place = 8 + len(packed) + len(packed) % 2
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", place) + packed + bytes(len(packed) % 2) + directory)


def tiff_with_a_strip_that_lies(path: Path) -> None:
    tiff(path, 8)


def dicom(path: Path, shape: tuple[int, int] = (24_490, 24_490)) -> None:
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.Rows, data.Columns = shape
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 7, 0, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    content = stream.getvalue()
    begin = 144 + struct.unpack_from("<I", content, 140)[0]  # behind the tags that say how the rest is packed
    tags = zlib.decompress(content[begin:], -zlib.MAX_WBITS)
    tags += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, SIZE)
    path.write_bytes(content[:begin] + zeros(zlib.compressobj(1, zlib.DEFLATED, -15), before=tags))


def dicom_that_lies(path: Path) -> None:
    dicom(path, (8, 8))


BOMBS = {
    "nifti": (nifti, ".nii.gz"),
    "nifti-extension": (nifti_with_an_extension, ".nii.gz"),
    "matlab": (matlab, ".mat"),
    "matlab-lie": (matlab_that_lies, ".mat"),
    "matlab-sparse": (matlab_sparse, ".mat"),
    "matlab-7.3-sparse": (matlab_sparse_73, ".mat"),
    "npz": (numpy_archive, ".npz"),
    "npz-header": (numpy_header, ".npz"),
    "hdf5": (hdf5, ".h5"),
    "hdf5-lie": (hdf5_with_a_piece_that_lies, ".h5"),
    "png": (png, ".png"),
    "tiff": (tiff, ".tif"),
    "tiff-lie": (tiff_with_a_strip_that_lies, ".tif"),
    "dicom": (dicom, ".dcm"),
    "dicom-lie": (dicom_that_lies, ".dcm"),
}


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    """What the children share: each reading library imported once, by a small file."""
    import scipy.io
    import scipy.sparse  # noqa: F401


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(name: str, tmp_path: Path) -> None:
    make, extension = BOMBS[name]
    path = tmp_path / f"y{extension}"
    make(path)
    assert path.stat().st_size < 5_000_000

    def read() -> str:
        try:
            describe_file(path)
            return f"read: {read_array(path).shape}"
        except InputError as error:
            return f"refused: {error}"

    done = forked(read)
    assert not done.signal
    assert done.value.startswith("refused: "), done.value
    assert done.growth < limit_of(path), f"{done.growth / 1e6:.0f} MB from {path.stat().st_size} bytes"
    assert done.seconds < 10


def test_an_array_of_the_expected_shape_is_read_whatever_its_size(tmp_path: Path) -> None:
    path = tmp_path / "y.h5"
    hdf5(path)

    def read() -> tuple[int, ...]:
        return read_array(path, expected=(1, 600, 1000, 1000)).shape

    done = forked(read)
    assert done.value == (600, 1000, 1000), done.value
    assert done.growth >= SIZE, "the memory of a child is not measured"


def test_a_measurement_is_compared_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wellposed import component, measurement_file

    def read(*_: object, **__: object) -> None:
        raise AssertionError("the numbers were read")

    monkeypatch.setattr(measurement_file, "read_array", read)
    operator = component("operators", "identity")(shape=(8, 8))
    arrays = {".npz": (9, 9), ".h5": (9, 9), ".npy": (64,), ".tif": (8, 9)}
    for extension, shape in arrays.items():
        write_array(tmp_path / f"y{extension}", np.ones(shape, np.float32))
        with pytest.raises(ShapeError, match="Identity measures 1 × 8 × 8"):
            MeasurementFile(str(tmp_path / f"y{extension}"), operator)
