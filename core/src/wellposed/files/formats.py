"""The file formats, one row each: extensions, what the format is called, and who reads, writes, lists it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError


@dataclass(frozen=True)
class Format:
    """One format. Functions are named as `module:function` inside this package and imported at first use.

    `read(path, key, limit) -> array` of at most `limit` bytes, `describe(path) -> [ArrayInfo]`,
    `write(stream, array, key)`.
    """

    name: str
    extensions: tuple[str, ...]
    read: str
    describe: str
    write: str = ""
    has_keys: bool = False

    def load(self, what: str) -> Callable[..., Any]:
        """The function in the field `what`; raises `InputError` where its library is not installed."""
        module, _, function = getattr(self, what).partition(":")
        return getattr(importlib.import_module(f".{module}", __package__), function)


_FORMATS = (
    Format("NumPy", (".npy",), "numpy_files:read_npy", "numpy_files:describe_npy", "numpy_files:write_npy"),
    Format(
        "NumPy archive",
        (".npz",),
        "numpy_files:read_npz",
        "numpy_files:describe_npz",
        "numpy_files:write_npz",
        has_keys=True,
    ),
    Format("MATLAB", (".mat",), "matlab:read", "matlab:describe", "matlab:write", has_keys=True),
    Format("HDF5", (".h5", ".hdf5"), "hdf5:read", "hdf5:describe", "hdf5:write", has_keys=True),
    Format("TIFF", (".tif", ".tiff"), "images:read_tiff", "images:describe_tiff", "images:write_tiff"),
    Format("PNG", (".png",), "images:read_image", "images:describe_image", "images:write_png"),
    Format("JPEG", (".jpg", ".jpeg"), "images:read_image", "images:describe_image"),
    Format("BMP", (".bmp",), "images:read_image", "images:describe_image"),
    Format("PGM", (".pgm", ".ppm", ".pnm"), "images:read_image", "images:describe_image"),
    Format("NIfTI", (".nii", ".nii.gz"), "nifti:read", "nifti:describe"),
    Format("DICOM", (".dcm",), "dicom:read", "dicom:describe"),
)

#: A folder is read as one DICOM volume.
DICOM_FOLDER = Format("DICOM folder", (), "dicom:read_folder", "dicom:describe_folder", has_keys=True)

_BY_EXTENSION = {extension: form for form in _FORMATS for extension in form.extensions}

#: Extensions that `read_array` and `write_array` know.
READABLE: tuple[str, ...] = tuple(_BY_EXTENSION)
WRITABLE: tuple[str, ...] = tuple(e for e, form in _BY_EXTENSION.items() if form.write)


def format_of(path: Path) -> Format | None:
    """The format that the longest matching extension names, in upper or lower case; `None` if unknown."""
    suffixes = [s.lower() for s in path.suffixes]
    return _BY_EXTENSION.get("".join(suffixes[-2:])) or _BY_EXTENSION.get("".join(suffixes[-1:]))


def library(module: str, package: str, path: Path) -> Any:
    """A reading library; raises `InputError` with the pip package where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"{path} is read by {package}, which is not installed: pip install {package}") from None
