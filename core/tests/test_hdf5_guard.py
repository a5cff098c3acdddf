"""HDF5 files whose numbers lie elsewhere, or nowhere, are refused before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from wellposed.errors import InputError
from wellposed.files import describe_file, read_array
from wellposed.files.matlab import read_text

SHAPE = (6, 7)


def virtual_of_a_missing_file(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(SHAPE, np.float32)
    layout[:] = h5py.VirtualSource("missing.h5", "y", SHAPE)
    file.create_virtual_dataset("deep/y", layout)


def virtual_of_itself(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(SHAPE, np.float32)
    layout[:] = h5py.VirtualSource(".", "deep/y", SHAPE)
    file.create_virtual_dataset("deep/y", layout)


def external_storage(file: h5py.File) -> None:
    size = int(np.prod(SHAPE)) * 4
    file.create_dataset("deep/y", SHAPE, np.float32, external=[("/etc/passwd", 0, size)])


def external_link(file: h5py.File) -> None:
    file["deep/y"] = h5py.ExternalLink("other.h5", "/y")


def soft_link_through_an_external_one(file: h5py.File) -> None:
    file["deep/door"] = h5py.ExternalLink("other.h5", "/")
    file["y"] = h5py.SoftLink("/deep/door/y")


FOREIGN: dict[Callable[[h5py.File], None], str] = {
    virtual_of_a_missing_file: "deep/y is a virtual dataset",
    virtual_of_itself: "deep/y is a virtual dataset",
    external_storage: "deep/y has its numbers in another file",
    external_link: "deep/y is a link into another file",
    soft_link_through_an_external_one: "deep/door is a link into another file",
}


@pytest.mark.parametrize("extension", [".h5", ".mat"])
@pytest.mark.parametrize("make", FOREIGN)
def test_numbers_of_other_files_are_not_read(
    make: Callable[[h5py.File], None], extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["y"] = np.ones(SHAPE, np.float32)
    path = tmp_path / f"y{extension}"
    with h5py.File(path, "w") as file:
        file["a"] = np.ones(SHAPE, np.float32)
        make(file)

    def read(*_: object) -> None:
        raise AssertionError("a dataset was read")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", read)
    for call in (describe_file, read_array, lambda p: read_array(p, "deep/y"), lambda p: read_array(p, "a")):
        with pytest.raises(InputError, match=FOREIGN[make]):
            call(path)
    if extension == ".mat":
        with pytest.raises(InputError, match=FOREIGN[make]):
            read_text(path, "a")


def test_links_inside_the_file_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "y.h5"
    with h5py.File(path, "w") as file:
        file["a/y"] = np.ones(SHAPE, np.float32)
        file["soft"] = h5py.SoftLink("/a/y")
        file["hard"] = file["a/y"]
        file["dangling"] = h5py.SoftLink("/nowhere")
    assert read_array(path, "soft").sum() == 42
    assert read_array(path, "hard").sum() == 42
    with pytest.raises(InputError, match="holds no 'dangling'"):
        read_array(path, "dangling")


@pytest.mark.parametrize("extension", [".h5", ".mat"])
@pytest.mark.parametrize("chunks", [None, (3, 7)])
def test_what_was_never_written_is_not_read_as_zeros(
    chunks: tuple[int, int] | None, extension: str, tmp_path: Path
) -> None:
    path = tmp_path / f"y{extension}"
    with h5py.File(path, "w") as file:
        file.create_dataset("nothing", SHAPE, np.float32, chunks=chunks)
        half = file.create_dataset("half", SHAPE, np.float32, chunks=chunks)
        half[:3] = 1
        file.create_dataset("whole", SHAPE, np.float32, chunks=chunks, data=np.zeros(SHAPE, np.float32))
    with pytest.raises(InputError, match="nothing, was never written in full"):
        read_array(path, "nothing")
    if chunks is not None:
        with pytest.raises(InputError, match="half, was never written in full"):
            read_array(path, "half")
    assert not read_array(path, "whole").any()


def test_matlab_arrays_marked_as_empty_that_are_not(tmp_path: Path) -> None:
    path = tmp_path / "y.mat"
    with h5py.File(path, "w") as file:
        file["y"] = np.array([20, 47], np.uint64)
        file["y"].attrs["MATLAB_empty"] = 1
        group = file.create_group("s")
        group.attrs["MATLAB_sparse"] = np.uint64(3)
        group["data"], group["ir"], group["jc"] = [1.0], np.array([-1], np.int64), [0, 1]
    with pytest.raises(InputError, match=r"y, is marked as empty, with the shape \(20, 47\)"):
        read_array(path, "y")
    with pytest.raises(InputError, match="rows outside of its shape"):
        read_array(path, "s")
