"""Numbers, devices and files that no machine can work with: said in a sentence, before any work."""

from __future__ import annotations

import errno
import json
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wellposed.cli.boundary import explain
from wellposed.errors import InputError, RecipeError, memory_wanted
from wellposed.experiment.plan import check_device
from wellposed.files import read_array
from wellposed.recipes import load_recipe
from wellposed.recipes.builder import construct
from wellposed.recipes.model import parse
from wellposed.recipes.values import checked_value
from wellposed.runs.contents import file_name

RECIPE: dict[str, Any] = {"data": "toy-squares", "operator": "toy-blur", "solvers": {"a": "toy-adjoint"}}
RECONSTRUCT = ["reconstruct", "--operator", "toy-blur", "--measurement", "y.npy", "--solver", "toy-adjoint"]


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (float, 1e308, r"x: 1e\+308 is too large; single precision holds numbers up to 3.4e\+38"),
        (float, -1e39, "too large"),
        (int, 1 << 70, "1180591620717411303424 is too large; whole numbers have up to 64 bits"),
        (list[int], [1, -(1 << 63) - 1], "too large"),
        (dict[str, list[float]], {"a": [1.0, 1e300]}, "too large"),
    ],
)
def test_numbers_that_no_tensor_holds(hint: Any, value: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        checked_value(hint, value, "x")


def test_the_largest_numbers_are_taken() -> None:
    assert checked_value(float, 3.4028234e38, "x") == 3.4028234e38
    assert checked_value(float, float("inf"), "x") == float("inf")
    assert checked_value(int, (1 << 63) - 1, "x") == (1 << 63) - 1


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("seed", 1 << 63, "seed: the value should be less than"), ("threads", 4097, "threads: the value should be less")],
)
def test_seeds_and_threads_beyond_all_machines(key: str, value: int, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse({**RECIPE, key: value}, "recipe")
    assert parse({**RECIPE, key: value - 1}, "recipe")


def test_a_device_without_numbers_is_none() -> None:
    with pytest.raises(InputError, match=r"device 'meta' cannot be used here \(.*\); available: cpu"):
        check_device("meta")
    assert check_device("cpu") == torch.device("cpu")


def test_memory_that_nobody_has() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert memory_wanted(caught.value) == ": 4.5e+06 GB were asked for at once"
    text, code = explain(caught.value)
    assert (text, code) == (
        "the memory does not suffice: 4.5e+06 GB were asked for at once. Take smaller images or batches",
        1,
    )
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 40, 1 << 40)
    assert memory_wanted(caught.value) == ": an array of more numbers than any memory holds was asked for"
    assert memory_wanted(MemoryError()) == ""
    assert memory_wanted(RuntimeError("shapes differ")) is None
    assert memory_wanted(ValueError("not enough memory of it")) is None


class Table(torch.nn.Module):
    def __init__(self, entries: int) -> None:
        super().__init__()
        self.entries = torch.ones(entries)


def test_a_component_that_wants_too_much_is_named() -> None:
    with pytest.raises(RecipeError, match=r"^data: the memory does not suffice for Table: .* GB"):
        construct(Table, {"entries": 1 << 50}, "data")


def test_doubles_beyond_single_precision_are_told(toy: Any, tmp_path: Path) -> None:
    np.save("y.npy", np.full((24, 24), 1e100))
    done = toy(*RECONSTRUCT, "--out", "out")
    assert done.code == 2
    assert "numbers up to 1e+100, whose squares single precision does not hold; mend or rescale" in done.errors
    assert toy(*RECONSTRUCT, "precision=double", "--out", "out").code == 0
    y = np.ones((24, 24), np.float32)
    y[3, 3] = 3e38  # finite, and sums of it are not
    np.save("y.npy", y)
    done = toy(*RECONSTRUCT, "--out", "other")
    assert done.code == 2
    assert "numbers up to 3e+38" in done.errors


def test_a_file_too_large_to_be_mapped_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "y.npy", np.ones(3))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError, match=r"y.npy takes more memory than there is"):
        read_array(tmp_path / "y.npy")


def test_a_dangling_link_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "y.npy").symlink_to("gone.npy")
    with pytest.raises(InputError, match=r"y.npy is a link to gone.npy, which does not exist$"):
        read_array(tmp_path / "y.npy")
    with pytest.raises(InputError, match=r"there is no file .*z.npy$"):
        read_array(tmp_path / "z.npy")


@pytest.mark.parametrize("content", [b"", b'{"data": "toy-sq', b"[]", b"\xff\x00"])
def test_a_record_of_settings_that_was_cut_does_not_block(content: bytes, toy: Any, tmp_path: Path) -> None:
    from wellposed.cli.train import _check_same

    recipe = load_recipe("toy/squares")
    (tmp_path / "begun.json").write_bytes(content)
    _check_same(tmp_path, recipe)
    assert json.loads((tmp_path / "begun.json").read_text())["data"] == recipe.document()["data"]
    _check_same(tmp_path, recipe)
    other = load_recipe("toy/squares", ["seed=5"])
    with pytest.raises(InputError, match="holds unfinished work with another seed"):
        _check_same(tmp_path, other)


def test_zeros_alone_are_no_measurement(toy: Any) -> None:
    np.save("y.npy", np.zeros((24, 24), np.float32))
    done = toy(
        "reconstruct", "--operator", "toy-blur", "--measurement", "y.npy", "--solver", "toy-adjoint", "--out", "out"
    )
    assert done.code == 2
    assert "y.npy holds nothing but zeros" in done.errors
    y = np.zeros((2, 24, 24), np.float32)
    y[1] = 1  # a stack may have empty slices
    np.save("y.npy", y)
    done = toy(
        "reconstruct", "--operator", "toy-blur", "--measurement", "y.npy", "--solver", "toy-adjoint", "--out", "out"
    )
    assert done.code == 0, done.errors


def test_file_names_stay_short_and_apart() -> None:
    assert file_name("ab c") == "ab-c"
    one, two = file_name("x" * 300), file_name("x" * 301)
    assert one != two
    assert len(one) == len(two) == 100
    assert len(file_name("ü" * 300).encode()) <= 100


def test_npy_with_more_numbers_than_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "y.npy"
    np.save(path, np.ones((4, 5)))
    path.write_bytes(path.read_bytes().replace(b"(4, 5)", b"(4, 4)"))
    with pytest.raises(InputError, match="its header says 128 bytes of numbers, 160 follow"):
        read_array(path)


@pytest.mark.parametrize("name", ["x.png", "x.npy", "x.h5"])
def test_a_full_disk_spares_the_image_saved_before(name: str, toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("y.npy", np.ones((24, 24), np.float32))
    assert toy(*RECONSTRUCT, "--out", "one", "--save", name).code == 0
    before, beside = Path(name).read_bytes(), sorted(Path().iterdir())
    kept = os.fsync

    def full(handle: int) -> None:
        if Path("two/report.html").exists():  # the run is written; what is saved beside it is not
            raise OSError(errno.ENOSPC, "No space left on device")
        kept(handle)

    monkeypatch.setattr(os, "fsync", full)
    done = toy(*RECONSTRUCT, "--out", "two", "--save", name)
    assert done.code == 2
    assert f"{name} cannot be written: No space left on device" in done.errors
    assert Path(name).read_bytes() == before
    assert sorted(Path().iterdir()) == sorted([*beside, Path("two")])
