"""The command line's edge: what it imports, how it fails, what it lists."""

from __future__ import annotations

import ast
import errno
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wellposed.cli.boundary import explain
from wellposed.errors import InputError, PluginError, RecipeError
from wellposed.registry import registry, summary

HEAVY = ("torch", "matplotlib", "scipy", "PIL", "numpy", "skimage", "h5py", "jinja2")


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "--json"], ["recipes"], ["weights"], ["--help"], ["run", "--help"], ["--version"]]
)
def test_looking_around_imports_neither_torch_nor_plugins(toy: Any, arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from wellposed.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"bad = [m for m in sys.modules if m.split('.')[0] in {HEAVY} or m.startswith('wellposed_')]\n"
        "sys.exit(' '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_listings_are_plain_when_piped(toy: Any) -> None:
    for arguments in (["list"], ["recipes"], ["--help"]):
        done = toy(*arguments)
        assert done.code == 0
        assert "\x1b" not in done.output
        assert not [line for line in done.output.splitlines() if len(line) > 80]


def test_weights_are_listed_with_what_made_them(bare: Any) -> None:
    package = bare.site / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    header = json.dumps({"__metadata__": {"seed": "0", "figure": "30.1 dB", "recipe": "pack/train"}}).encode()
    (package / "good.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (package / "bad.safetensors").write_bytes(b"nonsense")
    points = {"good": "pack:good.safetensors", "bad": "pack:bad.safetensors"}
    bare.install("wellposed-pack", {"wellposed.weights": points})
    listed = {row["name"]: row for row in bare("weights", "--json").json}
    assert listed["good"]["provenance"] == {"seed": "0", "figure": "30.1 dB", "recipe": "pack/train"}
    assert listed["good"]["error"] is None
    assert "no readable safetensors file" in listed["bad"]["error"]
    shown = bare("weights").output
    assert shown.index("figure: 30.1 dB") < shown.index("recipe: pack/train") < shown.index("seed: 0")
    assert not [line for line in shown.splitlines() if len(line) > 80]


def test_list_json_has_the_documented_keys(toy: Any) -> None:
    listed = toy("list", "--json").json
    assert {"name", "kind", "distribution", "version", "summary", "error"} == set(listed[0])
    blur = next(entry for entry in listed if entry["name"] == "toy-blur")
    assert blur == {
        "name": "toy-blur",
        "kind": "operators",
        "distribution": "wellposed-toy",
        "version": "1.0",
        "summary": "Mean of three neighbouring columns, circular: y = k ∗ x.",
        "error": None,
    }


def test_list_of_one_kind(toy: Any) -> None:
    assert {entry["kind"] for entry in toy("list", "solver", "--json").json} == {"solvers"}
    assert "toy-scaled" in toy("list", "solvers").output
    assert "toy-blur" not in toy("list", "solvers").output


def test_recipes_json(toy: Any) -> None:
    listed = {entry["name"]: entry for entry in toy("recipes", "--json").json}
    assert listed["toy/squares"]["summary"] == "Deblurring of squares, for tests"
    assert Path(listed["toy/squares"]["path"]).is_file()


def test_describe_tells_arguments_and_an_example(toy: Any) -> None:
    done = toy("describe", "operator", "toy-blur")
    assert toy("describe", "toy-blur").output == done.output
    assert re.search(r"size\s+int\s+= 24", done.output)
    assert "wellposed-toy 1.0" in done.output
    facts = toy("describe", "solver", "iterative", "--json").json
    assert facts["arguments"][0] == {"name": "iteration", "type": "Iteration", "required": True, "default": None}
    assert facts["example"]["use"] == "iterative"
    assert facts["source"]


def test_version(bare: Any) -> None:
    assert re.fullmatch(r"wellposed \d+\.\d+\.\d+\n", bare("--version").output)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "No such command 'nope'"),
        (["run"], "Missing argument 'RECIPE'"),
        (["--frob"], "No such option: --frob"),
        (["evaluate", "toy/squares", "--samples", "0"], "'--samples'"),
        (["list", "gadgets"], "there is no kind of component called 'gadgets'"),
        (["describe", "operator", "toy-blr"], "did you mean toy-blur"),
        (["describe", "toy-blr"], "did you mean toy-blur"),
        (["describe", "none"], "is the name of components of 3 kinds; write 'noise-model none' or"),
        (["run", "nope.yaml"], "there is no such file"),
        (["run", "toy/sqares"], "did you mean toy/squares"),
        (["run", "toy/squares", "samples"], "an override is written key.path=value"),
        (["run", "toy/squares", "samples=many"], "samples"),
        (["run", "toy/squares", "operator.size=-3"], "operator"),
        (["run", "toy/squares", "device=abacus"], "device 'abacus' cannot be used here"),
        (["run", "toy/squares", "data.size=20"], "Blur takes images of shape"),
        (["run", "toy/squares", "--out", "/proc/run"], "choose another --out"),
        (["train", "toy/squares"], "the recipe has no 'training'"),
        (["train", "toy/learned", "training.target=x"], "none of the solvers (scaled)"),
        (["stability", "toy/squares", "--norms", "0,1"], "positive numbers"),
        (["stability", "toy/squares", "--solver", "x"], "no solver 'x'; it has: adjoint, descent"),
        (["demo"], "physics"),
        (["plugin", "check", "no-such-distribution"], "no-such-distribution"),
    ],
)
def test_bad_input_gets_a_sentence_and_exit_code_2(
    toy: Any, arguments: list[str], sentence: str, monkeypatch: Any
) -> None:
    if arguments == ["demo"]:
        monkeypatch.setenv("WELLPOSED_DISABLE", "wellposed-classical")
    done = toy(*arguments)
    assert done.code == 2, done.errors
    assert sentence in done.errors
    assert done.errors.count("\n") == 1
    assert len(done.errors) < 600
    assert done.output == ""
    assert "Traceback" not in done.errors
    assert not Path("runs").exists()


def test_debug_shows_the_traceback_wherever_it_stands(toy: Any) -> None:
    for arguments in (["--debug", "run", "nope.yaml"], ["run", "nope.yaml", "--debug"]):
        done = toy(*arguments)
        assert done.code == 2
        assert "Traceback" in done.errors


@pytest.mark.parametrize(
    ("error", "sentence", "code"),
    [
        (InputError("wrong"), "wrong", 2),
        (RecipeError("wrong", "data"), "data: wrong", 2),
        (PluginError("broken"), "broken", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (MemoryError(), "memory does not suffice", 1),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory does not suffice", 1),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "the disk is full at runs/x", 1),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "permission denied at /x", 1),
        (ZeroDivisionError("by\n  zero"), "ZeroDivisionError: by zero. This is a bug", 1),
    ],
)
def test_every_failure_is_explained(error: BaseException, sentence: str, code: int) -> None:
    said, given = explain(error)
    assert sentence in said
    assert given == code
    assert "\n" not in said


def test_a_closed_pipe_is_no_error(toy: Any) -> None:
    process = toy.start("list", "--json")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in errors
    assert "Broken" not in errors


def test_commands_of_plugins_are_found_by_name(toy: Any) -> None:
    assert toy("toy").output == "hello from the toy\n"
    assert "toy" not in json.dumps(toy("--help").output)


def test_summaries_read_quickly_are_those_that_python_reads() -> None:
    quick = 0
    for entry in registry().entries():
        module, _, name = entry.target.partition(":")
        if entry.error is None:
            text = summary.module_file(module).read_text(encoding="utf-8")
            found = summary._quick_docstring(text, name)
            quick += found is not None
            assert found is None or summary.first_line(found) == summary.first_line(_docstring(text, name)), (
                entry.target
            )
    assert quick >= 5


def _docstring(text: str, name: str) -> str | None:
    definitions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    return ast.get_docstring(definitions[name])


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    x = 1\n\n    def f(self):\n        '''Not of A.'''\n",
        'class A:\n    x = 1\n\n    def f(self):\n        """Not of A."""\n',
        'class AB:\n    """Of another."""\n',
        'class A:\n    """With \\\\ escapes."""\n',
        "class A: pass\n",
    ],
)
def test_what_looks_unusual_is_left_to_python(text: str) -> None:
    assert summary._quick_docstring(text, "A") is None
