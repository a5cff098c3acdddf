"""Data and weight files of every format that is read, and seeded damage to them.

Each base file holds the same measurement (20 views of 47 bins), a volume, k-space or weights; `command` is what a
user would type to reconstruct from it.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VIEWS, BINS, SIZE = 20, 47, 32
_OPERATOR = ["--operator", "parallel-beam", f"shape=[{SIZE},{SIZE}]", f"angles={VIEWS}"]
_NUMBERS = [0, 1, 2, 3, 7, 8, 20, 47, 127, 128, 255, 256, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]

RUN_WEIGHTS = """
data: {{use: shepp-logan, size: 16}}
operator: {{use: parallel-beam, shape: [16, 16], angles: 8}}
noise: {{use: gaussian, sigma: 0.05, relative_to: mean-abs}}
solvers: {{lpd: {{use: learned-primal-dual, steps: 2, width: 8, weights: {path}}}}}
"""
RUN_FASTMRI = """
data: {{use: fastmri, path: {path}, size: null}}
solvers: {{zero: {{use: zero-filled}}}}
"""
RUN_FOLDER = """
data: {{use: image-folder, path: {path}, size: 32}}
operator: {{use: parallel-beam, shape: [32, 32], angles: 8}}
noise: {{use: gaussian, sigma: 0.05}}
solvers: {{FBP: {{use: filtered-backprojection}}}}
"""


@dataclass(frozen=True)
class Kind:
    """A sort of file: its name with the extension, who makes it, and the recipe that reads it (else `reconstruct`)."""

    file: str
    make: Callable[[Path], None]
    recipe: str = ""

    def command(self, path: Path, out: Path) -> list[str]:
        """The arguments of `wellposed` that read `path` and write the run `out`."""
        if not self.recipe:
            solver = ["--solver", "filtered-backprojection"]
            return ["reconstruct", "--measurement", str(path), *_OPERATOR, *solver, "--out", str(out)]
        recipe = out.with_suffix(".yaml")
        recipe.write_text(self.recipe.format(path=path))
        return ["run", str(recipe), "--out", str(out)]


def sinogram() -> np.ndarray:
    """Smooth positive numbers, as measured line integrals are."""
    angle, bins = np.meshgrid(np.linspace(0, np.pi, VIEWS), np.linspace(-1, 1, BINS), indexing="ij")
    return (1.2 + np.cos(3 * angle) * bins - bins**2).clip(0.01).astype(np.float32)


def _counts() -> np.ndarray:
    return (sinogram() * 10_000).astype(np.uint16)


def _array(key: str = "y") -> Callable[[Path], None]:
    from wellposed.files import write_array

    return lambda path: write_array(path, sinogram(), key)


def _stored_archive(path: Path) -> None:
    np.savez(path, y=sinogram(), angles=np.arange(VIEWS))


def _matlab_plain(path: Path) -> None:
    import scipy.io

    scipy.io.savemat(path, {"y": sinogram(), "name": "scan", "about": {"angles": np.arange(VIEWS)}})


def _matlab_73(path: Path) -> None:
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("y", data=sinogram().T).attrs["MATLAB_class"] = np.bytes_("single")
        file.create_dataset("s/angles", data=np.arange(VIEWS)).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + struct.pack("<H", 0x0200) + b"IM")


def _hdf5_packed(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("deep/y", data=sinogram(), chunks=(5, BINS), compression=4, shuffle=True, fletcher32=True)
        file["about"] = "text"


def _nifti(path: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image((sinogram() * 1000).astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.001, 0.0)
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _dicom(path: Path) -> None:
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian if "packed" in path.name else ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = VIEWS, BINS, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept = "0.0001", "0"
    data.PixelData = _counts().tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    path.write_bytes(stream.getvalue())


def _picture(path: Path) -> None:
    from PIL import Image

    Image.fromarray(_counts()).save(path)


def _tiff_packed(path: Path) -> None:
    from PIL import Image

    Image.fromarray(sinogram()).save(path, compression="tiff_adobe_deflate")


def _photograph(path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.outer(np.arange(40), np.arange(40)).astype(np.uint8) // 8 + 20).save(path)


def _weights(path: Path) -> None:
    from wellposed.recipes import build
    from wellposed.weights import save_weights

    save_weights(build("solvers", {"use": "learned-primal-dual", "steps": 2, "width": 8}), path, {"figure": "none"})


def _fastmri(path: Path) -> None:
    import h5py

    drawn = np.random.default_rng(0).normal(size=(2, 2, 3, 32, 32))
    k = drawn[0] + 1j * drawn[1]
    with h5py.File(path, "w") as file:
        file["kspace"] = k.astype(np.complex64)
        file["reconstruction_rss"] = np.arange(2048, dtype=np.float32).reshape(2, 32, 32)


KINDS = {
    "npy": Kind("y.npy", _array()),
    "npz": Kind("y.npz", _array()),
    "npz-stored": Kind("y.npz", _stored_archive),
    "mat5": Kind("y.mat", _array()),
    "mat5-plain": Kind("y.mat", _matlab_plain),
    "mat73": Kind("y.mat", _matlab_73),
    "h5": Kind("y.h5", _array()),
    "h5-packed": Kind("y.h5", _hdf5_packed),
    "nii": Kind("y.nii", _nifti),
    "nii.gz": Kind("y.nii.gz", _nifti),
    "dcm": Kind("y.dcm", _dicom),
    "dcm-packed": Kind("packed.dcm", _dicom),
    "png": Kind("y.png", _picture),
    "tiff": Kind("y.tif", _array()),
    "tiff-packed": Kind("y.tif", _tiff_packed),
    "safetensors": Kind("w.safetensors", _weights, RUN_WEIGHTS),
    "fastmri": Kind("k.h5", _fastmri, RUN_FASTMRI),
    "photograph": Kind("p.png", _photograph, RUN_FOLDER),
}


def mutated(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """What was done, and the damaged content: bits, bytes, lengths, numbers of headers, pieces lost, twice or zero."""
    change = rng.choice(CHANGES)
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        change(data, rng)
    return change.__name__, bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    """Often in the first or the last kilobyte, where headers and directories are."""
    size = max(1, len(data))
    near = min(size, rng.choice([64, 256, 1024]))
    return rng.choice([rng.randrange(near), size - 1 - rng.randrange(near), rng.randrange(size)])


def flip_a_bit(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def set_a_byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])


def set_a_number(data: bytearray, rng: random.Random) -> None:
    """A number of 2, 4 or 8 bytes in either order, at a place where such numbers begin."""
    code = rng.choice("<>") + rng.choice("HIQ")
    size = struct.calcsize(code)
    if len(data) > size:
        place = min(_place(data, rng) // 2 * 2, len(data) - size)
        data[place : place + size] = struct.pack(code, rng.choice(_NUMBERS) % (1 << 8 * size))


def change_a_digit(data: bytearray, rng: random.Random) -> None:
    """Of numbers written as text: shapes of npy and safetensors, slopes of DICOM."""
    places = [i for i in range(min(len(data), 4096)) if chr(data[i]).isdigit()]
    if places:
        data[rng.choice(places)] = ord(rng.choice("0123456789-e.,"))


def cut_the_end(data: bytearray, rng: random.Random) -> None:
    del data[len(data) - rng.randrange(min(len(data), rng.choice([8, 200, 100_000])) + 1) :]


def lose_a_piece(data: bytearray, rng: random.Random) -> None:
    place = _place(data, rng)
    del data[place : place + rng.choice([1, 2, 4, 64, 1000])]


def double_a_piece(data: bytearray, rng: random.Random) -> None:
    place = _place(data, rng)
    data[place:place] = data[place : place + rng.choice([1, 4, 64, 1000])]


def zero_a_piece(data: bytearray, rng: random.Random) -> None:
    place = _place(data, rng)
    end = min(len(data), place + rng.choice([4, 64, 512, 5000]))
    data[place:end] = bytes(end - place)


CHANGES = [
    flip_a_bit,
    set_a_byte,
    set_a_number,
    change_a_digit,
    cut_the_end,
    lose_a_piece,
    double_a_piece,
    zero_a_piece,
]
