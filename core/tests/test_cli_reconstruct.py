"""`wellposed reconstruct`: one's own files in, images out, and sentences where they do not fit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from wellposed.errors import InputError, ShapeError
from wellposed.files import read_array
from wellposed.measurement_file import MeasurementFile, fitted
from wellposed.operator import Operator
from wellposed.space import Space

SIZE = 24


@pytest.fixture
def image(toy: Any) -> np.ndarray:
    """A square; its files `y.npy` (blurred), `k.npy` (transformed) lie in the working folder."""
    x = np.zeros((SIZE, SIZE), np.float32)
    x[5:12, 8:15] = 1
    np.save("y.npy", (np.roll(x, 1, -1) + x + np.roll(x, -1, -1)) / 3)
    np.save("k.npy", np.fft.fft2(x, norm="ortho").astype(np.complex64))
    np.save("x.npy", x)
    return x


BLUR = ["reconstruct", "--operator", "toy-blur", "--measurement", "y.npy"]
DESCENT = "{use: iterative, iteration: toy-descent, fidelity: toy-least-squares, stop: {iterations: 300}}"


def test_an_operator_and_a_solver_are_enough(toy: Any, image: np.ndarray) -> None:
    done = toy(*BLUR, "size=24", "--solver", DESCENT, "--reference", "x.npy", "metrics=[toy-psnr]", "--out", "out")
    assert done.code == 0, done.errors
    (path,) = Path("out/reconstructions").iterdir()
    assert np.abs(np.load(path)[0] - image).max() < 0.1  # the blur leaves some frequencies out
    assert Path("out/figures/overview.png").is_file()
    assert Path("out/report.html").is_file()


def test_the_written_recipe_runs_again(toy: Any, image: np.ndarray) -> None:
    toy(*BLUR, "--solver", "toy-adjoint", "--out", "one")
    assert yaml.safe_load(Path("one/recipe.yaml").read_text())["data"]["path"] == str(Path("y.npy").absolute())
    assert toy("run", "one/recipe.yaml", "--out", "two").code == 0
    name = "reconstructions/y.toy-adjoint.npy"
    np.testing.assert_array_equal(np.load(f"one/{name}"), np.load(f"two/{name}"))


def test_complex_data_as_complex_numbers_or_as_pairs(toy: Any, image: np.ndarray) -> None:
    k = np.load("k.npy")
    np.save("pairs.npy", np.stack([k.real, k.imag], -1))
    for file in ("k.npy", "pairs.npy"):
        done = toy(
            "reconstruct",
            "--operator",
            "toy-transform",
            "--measurement",
            file,
            "--solver",
            "toy-adjoint",
            "--out",
            file[0],
        )
        assert done.code == 0, done.errors
        found = np.load(next(Path(f"{file[0]}/reconstructions").iterdir()))
        np.testing.assert_allclose(found[0], image, atol=1e-5)


def test_a_recipe_whose_dataset_knows_how_it_was_measured_needs_no_operator(toy: Any, image: np.ndarray) -> None:
    reads = "{use: measurement-file, path: absent.npy, operator: {use: toy-blur, size: 24}}"
    Path("scan.yaml").write_text(f"data: {reads}\nsolvers: {{adjoint: toy-adjoint}}\nmetrics: [toy-psnr]\n")
    scan = ["reconstruct", "scan.yaml", "--measurement", "y.npy"]
    done = toy(*scan, "--reference", "x.npy", "--out", "out")
    assert done.code == 0, done.errors
    direct = toy(*BLUR, "size=24", "--solver", "adjoint=toy-adjoint", "--out", "direct")
    assert direct.code == 0, direct.errors
    name = "reconstructions/y.adjoint.npy"
    np.testing.assert_array_equal(np.load(f"out/{name}"), np.load(f"direct/{name}"))
    wrong = toy(*scan, "size=3")
    assert wrong.code == 2
    assert "MeasurementFile takes no argument 'size'" in wrong.errors


def test_operator_and_solvers_from_files_and_recipes(toy: Any, image: np.ndarray) -> None:
    Path("blur.yaml").write_text("use: toy-blur\ngain: 1.0\n")
    Path("descent.yaml").write_text(DESCENT)
    done = toy(
        "reconstruct",
        "--operator",
        "blur.yaml",
        "--measurement",
        "y.npy",
        "--solver",
        "descent.yaml",
        "--out",
        "out",
        "--json",
    )
    assert [entry["solver"] for entry in done.json["results"]] == ["descent"]
    done = toy("reconstruct", "toy/squares", "--measurement", "y.npy", "gain=0.5", "seed=3", "--out", "two", "--json")
    assert [entry["solver"] for entry in done.json["results"]] == ["adjoint", "descent"]
    recipe = yaml.safe_load(Path("two/recipe.yaml").read_text())
    assert recipe["data"]["operator"] == {"use": "toy-blur", "gain": 0.5}
    assert recipe["seed"] == 3


def test_solvers_are_labelled_by_the_user_or_by_their_names(toy: Any, image: np.ndarray) -> None:
    solvers = ["--solver", "toy-adjoint", "--solver", "toy-adjoint", "--solver", DESCENT, "--solver", f"mine={DESCENT}"]
    done = toy(*BLUR, *solvers, "--out", "out", "--json")
    labels = [entry["solver"] for entry in done.json["results"]]
    assert labels == ["toy-adjoint", "toy-adjoint (again)", "toy-descent", "mine"]


def test_an_operator_that_waits_for_sensitivities_gets_them_from_the_data(tmp_path: Path) -> None:
    class Waiting(Operator):
        def __init__(self) -> None:
            super().__init__(Space((1, 4)), Space((1, 4)))

        def calibrated(self, y: torch.Tensor) -> Operator:
            ready = Waiting()
            ready.seen = float(y.sum())  # type: ignore[assignment]
            return ready

    np.save(tmp_path / "y.npy", np.ones((3, 4)) * np.arange(3)[:, None])
    data = MeasurementFile(str(tmp_path / "y.npy"), Waiting())
    assert [data[i].operator.seen for i in range(3)] == [0.0, 4.0, 8.0]  # type: ignore[union-attr]


def test_a_saved_png_is_what_the_report_shows(toy: Any, image: np.ndarray) -> None:
    np.save("y.npy", 300 * np.load("y.npy") - 20)
    done = toy(*BLUR, "--solver", "toy-adjoint", "--out", "out", "--save", "x.PNG")
    assert done.code == 0, done.errors
    assert "x.PNG: black is " in done.errors
    assert read_array(Path("x.PNG")).max() == 255


def test_several_measurements_in_one_file(toy: Any, image: np.ndarray) -> None:
    y = np.load("y.npy")
    np.save("y.npy", np.stack([y, 2 * y, 3 * y]))
    command = [*BLUR, "--solver", "toy-adjoint", "--out", "out", "--save", "all.npy", "--json"]
    assert [row["sample"] for row in toy(*command).json["rows"]] == ["y-0", "y-1", "y-2"]
    assert np.load("all.npy").shape == (3, SIZE, SIZE)
    first = toy(*BLUR, "--solver", "toy-adjoint", "samples=1", "--out", "first", "--json").json
    assert [row["sample"] for row in first["rows"]] == ["y-0"]


def test_the_array_that_fits_is_found_in_the_file(toy: Any, image: np.ndarray) -> None:
    y = np.load("y.npy")
    np.savez("y.npz", angles=np.arange(9.0), data=y)
    command = ["reconstruct", "--operator", "toy-blur", "--solver", "toy-adjoint", "--measurement", "y.npz"]
    assert toy(*command, "--out", "out").code == 0
    np.savez("y.npz", data=np.zeros((5, SIZE, 9)), other=np.zeros(3))
    assert "none of them fits 1 × 24 × 24. Name one as key" in toy(*command).errors
    np.savez("y.npz", data=y, other=y)
    done = toy(*command, "--out", "two")
    assert done.code == 2
    assert "data, other fit" in done.errors
    assert toy(*command, "--key", "other", "--out", "two").code == 0


def test_the_image_alone_can_be_saved(toy: Any, image: np.ndarray) -> None:
    assert toy(*BLUR, "--solver", "toy-adjoint", "--out", "out", "--save", "image.npy").code == 0
    assert np.load("image.npy").shape == (SIZE, SIZE)
    for arguments, sentence in (
        (["--solver", "toy-adjoint", "--save", "image.docx"], "extension"),
        (["--solver", "toy-adjoint", "--save", "no/image.npy"], "no folder"),
        (["--solver", "toy-adjoint", "--solver", "toy-scaled", "--save", "image.npy"], "one --solver"),
    ):
        done = toy(*BLUR, *arguments)
        assert done.code == 2
        assert sentence in done.errors


def test_measurements_that_are_no_numbers_are_told(toy: Any, image: np.ndarray) -> None:
    y = np.load("y.npy")
    y[3, 3] = np.nan
    np.save("y.npy", y)
    for solver in ("toy-adjoint", DESCENT):
        done = toy(*BLUR, "--solver", solver, "--out", "out", "--overwrite")
        assert done.code == 2
        assert "y.npy holds numbers that are not finite (1 of 576); mend or mask the places" in done.errors
        assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reconstruct"], "--measurement FILE is missing. For example"),
        (["reconstruct", "--measurement", "y.npy"], "--operator NAME is missing"),
        (BLUR, "--solver NAME is missing"),
        ([*BLUR, "--solver", "toy-adjiont"], "did you mean toy-adjoint"),
        ([*BLUR, "--solver", "toy-adjoint", "sizes=3"], "Blur takes no argument 'sizes'; did you mean size?"),
        ([*BLUR, "--solver", "toy-adjoint", "size=10"], "holds 24 × 24 numbers; Blur measures 1 × 10 × 10"),
        ([*BLUR, "--solver", "toy-adjoint", "size=3", "extra"], "'extra' is neither a setting"),
        ([*BLUR, "--solver", "toy-adjoint", "--transpose", "1,1"], "no order of 0 … 1"),
        ([*BLUR, "--solver", "toy-adjoint", "--transpose", "a"], "--transpose takes an order of axes"),
        ([*BLUR, "--solver", "toy-adjoint", "--key", "a"], "holds one array and no keys"),
        ([*BLUR, "--solver", "no.yaml"], "there is no such file for the solver"),
        ([*BLUR, "--solver", "{use"], "not valid YAML"),
        (["reconstruct", "--operator", "toy-blur", "--measurement", "no.npy", "--solver", "toy-adjoint"], "no file"),
        (
            ["reconstruct", "--operator", "toy-blur", "--measurement", "k.npy", "--solver", "toy-adjoint"],
            "complex numbers",
        ),
        (["reconstruct", "--operator", "toy-blur", "--measurement", "empty.npy", "--solver", "toy-adjoint"], "empty"),
    ],
)
def test_bad_input_gets_a_sentence(toy: Any, image: np.ndarray, arguments: list[str], sentence: str) -> None:
    Path("empty.npy").touch()
    done = toy(*arguments)
    assert done.code == 2
    assert sentence in done.errors
    assert done.errors.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_reconstruction_killed_at_any_moment_is_absent_or_complete(toy: Any, image: np.ndarray) -> None:
    """Killed at moments from its start to beyond its end."""
    whole, delay = 0, 0.0
    while whole < 3:
        process = toy.start(*BLUR, "--solver", DESCENT, "--out", "runs/out")
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        delay += 0.4
        if Path("runs/out").exists():
            whole += 1
            assert {"recipe.yaml", "results.json", "report.html"} <= {p.name for p in Path("runs/out").iterdir()}
            shutil.rmtree("runs/out")
    assert toy(*BLUR, "--solver", DESCENT, "--out", "runs/out").code == 0
    assert list(Path("runs").glob(".*")) == []


# Fitting arrays to spaces -------------------------------------------------------------------------


def fit(
    *shape: int, dtype: Any = np.float32, to: tuple[int, ...] = (1, 30, 20), field: torch.dtype = torch.float32
) -> Any:
    return fitted(np.ones(shape, dtype), Space(to, field), "file", "Radon", "measures")


def test_axes_of_length_one_do_not_matter() -> None:
    for shape in ((30, 20), (1, 30, 20), (1, 1, 30, 20), (30, 1, 20)):
        assert fit(*shape).shape == (1, 1, 30, 20)
    assert fit(7, 30, 20).shape == (7, 1, 30, 20)
    assert fit(7, 1, 30, 20).shape == (7, 1, 30, 20)


def test_values_are_not_moved() -> None:
    array = np.arange(600.0).reshape(30, 20)
    assert torch.equal(fitted(array, Space((1, 30, 20)), "f", "R", "m")[0, 0], torch.from_numpy(array))


def test_integers_become_numbers_and_double_stays_double() -> None:
    assert fit(30, 20, dtype=np.uint16).dtype == torch.float32
    assert fit(30, 20, dtype=np.float64).dtype == torch.float64
    assert fit(30, 20, dtype=np.complex128, field=torch.complex64).dtype == torch.complex128
    assert fit(30, 20, field=torch.complex64).dtype == torch.complex64


def test_transposed_arrays_are_refused_with_the_order_that_fits() -> None:
    with pytest.raises(ShapeError, match=r"20 × 30 numbers; Radon measures 1 × 30 × 20\. .*order 1,0"):
        fit(20, 30)


def test_other_misfits_are_refused() -> None:
    with pytest.raises(ShapeError, match="sizes agree"):
        fit(30, 21)
    with pytest.raises(ShapeError, match="complex"):
        fit(30, 20, dtype=np.complex64)
    with pytest.raises(InputError):
        fit(2, 3, 30, 20)


@pytest.mark.parametrize(
    ("save", "words"),
    [("image.xyz", "the extension must be one of"), ("nowhere/image.npy", "there is no folder nowhere")],
)
def test_where_an_image_cannot_be_saved_is_told_before_any_work(toy: Any, save: str, words: str) -> None:
    np.save("y.npy", np.zeros((1, 24, 24), dtype=np.float32))
    done = toy("reconstruct", "toy/squares", "--measurement", "y.npy", "--solver", "adjoint", "--save", save)
    assert done.code == 2
    assert words in done.errors
