"""DICOM slices, and folders of them as volumes, in the units of the rescale tags."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .formats import library
from .guard import choose, reading
from .limits import check_size, check_unpacked, inflated, limit_of, may_exceed

_DEFLATED = "1.2.840.10008.1.2.1.99"  # Deflated Explicit VR Little Endian
_BLOCK = 1 << 20
_MAGIC = b"DICM"  # after 128 bytes of preamble


def read(path: Path, key: str | None, limit: int) -> np.ndarray:
    """One slice `(H, W)` (or `(frames, H, W)`), float32: stored · slope + intercept."""
    dataset = _dataset(path, limit)
    samples = int(getattr(dataset, "SamplesPerPixel", 1) or 1)
    shape = (int(getattr(dataset, "NumberOfFrames", 1) or 1), int(dataset.Rows), int(dataset.Columns), samples)
    check_size(path, shape, np.dtype(np.float32).itemsize, limit)
    return rescaled(dataset)


def describe(path: Path) -> list[tuple]:
    header = read_header(path)
    frames = int(getattr(header, "NumberOfFrames", 1) or 1)
    shape = (int(header.Rows), int(header.Columns))
    return [("", shape if frames == 1 else (frames, *shape), "float32")]


def read_folder(path: Path, key: str | None, limit: int) -> np.ndarray:
    """The slices of one series as a volume `(slices, H, W)`, ordered along the normal of the slices."""
    series = series_of(path)
    files = series[choose(path, key, series, "DICOM series")]
    slices = []
    for file in files:
        with reading(file, "DICOM"):
            slices.append(read(file, None, max(limit, limit_of(file))))
    if len({s.shape for s in slices}) > 1:
        raise InputError(f"the slices in {path} have different sizes: {sorted({s.shape for s in slices})}")
    return np.stack(slices)


def describe_folder(path: Path) -> list[tuple]:
    rows = []
    for uid, files in series_of(path).items():
        ((_, shape, dtype),) = describe(files[0])
        rows.append((uid, (len(files), *shape), dtype))
    return rows


def series_of(path: Path) -> dict[str, list[Path]]:
    """The files of each series in a folder, subfolders left out, ordered along the slice normal.

    Raises `InputError` where the folder holds no DICOM file.
    """
    headers: dict[str, list[tuple[Path, Any]]] = {}
    for file in dicom_files(path.iterdir()):
        with reading(file, "DICOM"):
            header = read_header(file)
        if "Rows" in header:
            headers.setdefault(str(getattr(header, "SeriesInstanceUID", "")), []).append((file, header))
    if not headers:
        raise InputError(f"{path} is a folder without DICOM slices; name a file in it")
    return {uid: [file for file, _ in sorted(found, key=_position)] for uid, found in headers.items()}


def dicom_files(paths: Iterable[Path]) -> list[Path]:
    """Those that are DICOM: by their extension, or without one by the mark in the file; sorted by name."""
    return sorted(p for p in paths if p.is_file() and (p.suffix.lower() == ".dcm" or _is_marked(p)))


def read_header(path: Path) -> Any:
    """All tags but the pixels."""
    return _dataset(path, limit_of(path), stop_before_pixels=True)


def _dataset(path: Path, limit: int, **options: bool) -> Any:
    """The tags as pydicom reads them; a deflated file, which it unpacks whole, is looked through first."""
    pydicom = library("pydicom", "pydicom", path)
    if may_exceed(path.stat().st_size, limit):
        with path.open("rb") as stream:
            pydicom.filereader.read_preamble(stream, False)
            about = pydicom.filereader._read_file_meta_info(stream)  # its public name does not say where it ended
            if getattr(about, "TransferSyntaxUID", "") == _DEFLATED:
                check_unpacked(path, inflated(iter(lambda: stream.read(_BLOCK), b""), -zlib.MAX_WBITS), limit)
    return pydicom.dcmread(path, **options)


def rescaled(dataset: Any) -> np.ndarray:
    slope, intercept = (
        float(getattr(dataset, "RescaleSlope", 1)),
        float(getattr(dataset, "RescaleIntercept", 0)),
    )
    pixels = dataset.pixel_array.astype(np.float32)
    pixels *= np.float32(slope)
    pixels += np.float32(intercept)
    return pixels


def _is_marked(path: Path) -> bool:
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    with path.open("rb") as stream:
        stream.seek(128)
        return stream.read(4) == _MAGIC


def _position(entry: tuple[Path, Any]) -> tuple[float, int, str]:
    """Along the normal of the slice where it says its position, else by instance number, else by name."""
    path, header = entry
    along = 0.0
    if "ImagePositionPatient" in header and "ImageOrientationPatient" in header:
        orientation = np.asarray(header.ImageOrientationPatient, float)
        normal = np.cross(orientation[:3], orientation[3:])
        along = float(normal @ np.asarray(header.ImagePositionPatient, float))
    return along, int(getattr(header, "InstanceNumber", 0) or 0), path.name
