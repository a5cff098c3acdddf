"""What is said of files: missing, empty, locked, damaged, with too many names in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wellposed.errors import InputError
from wellposed.files import describe_file, read_array, write_array
from wellposed.files.guard import choose, existing, listing, missing, reading, reason


def test_files_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan.npy").write_bytes(b"")
    with pytest.raises(InputError, match="is empty: it has 0 bytes"):
        existing(tmp_path / "scan.npy")
    with pytest.raises(InputError, match=r"there is no file .*scam.npy; scan.npy lies beside it"):
        existing(tmp_path / "scam.npy")
    with pytest.raises(InputError, match=r"there is no file .*: there is no folder"):
        existing(tmp_path / "none" / "scan.npy")
    with pytest.raises(InputError, match=r"there is no file .*x$"):
        existing(tmp_path / "x")
    (tmp_path / "scan.xyz").write_bytes(b"1")
    with pytest.raises(InputError, match="has no extension that can be read"):
        existing(tmp_path / "scan.xyz")

    def locked(self: Path, **_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", locked)
    with pytest.raises(InputError, match=r"scan.npy cannot be opened: Permission denied"):
        existing(tmp_path / "scan.npy")


@pytest.mark.parametrize(
    ("error", "told", "words"),
    [
        (ValueError("bad\n  header"), InputError, r"x cannot be read as HDF5; it is damaged .* \(bad header\)"),
        (PermissionError(13, "Permission denied"), InputError, "x cannot be opened: Permission denied"),
        (InputError("as it is"), InputError, "^as it is$"),
        (MemoryError("full"), MemoryError, "full"),
    ],
)
def test_failures_inside_name_the_file(error: Exception, told: type[Exception], words: str) -> None:
    with pytest.raises(told, match=words), reading(Path("x"), "HDF5"):
        raise error


def test_names_are_chosen_only_where_one_is_meant() -> None:
    path = Path("f.mat")
    assert choose(path, None, ["a"]) == "a"
    assert choose(path, "b", ["a", "b"]) == "b"
    with pytest.raises(InputError, match="holds no arrays"):
        choose(path, None, [])
    with pytest.raises(InputError, match="holds 2 structures; name one as key: a, b"):
        choose(path, None, iter(["a", "b"]), "structures")
    with pytest.raises(InputError, match="holds no 'c'; its keys are a, b"):
        choose(path, "c", ["a", "b"])
    assert str(missing(path, "c", ["a"])) == "f.mat holds no 'c'; its keys are a"


def test_long_lists_and_reasons_are_cut() -> None:
    names = [str(n) for n in range(15)]
    assert listing(names[:12]) == ", ".join(names[:12])
    assert listing(names) == ", ".join(names[:12]) + ", and 3 more"
    assert reason(ValueError("x" * 200)) == "x" * 200
    assert reason(ValueError("x" * 201)) == "x" * 200 + "…"
    assert reason(ValueError()) == "ValueError"


def test_arrays_of_python_objects_are_neither_read_nor_listed(tmp_path: Path) -> None:
    array = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=array)
    for name in ("a.npy", "a.npz"):
        for call in (describe_file, read_array):
            with pytest.raises(InputError, match="cannot be used: it holds pickled Python objects"):
                call(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.mat"])
def test_only_numbers_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="only numbers are written"):
        write_array(tmp_path / name, np.array(["a", "b"]))
    assert list(tmp_path.iterdir()) == []
