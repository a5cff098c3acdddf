"""What each distribution imports is what it declares, and each stands beside the core alone."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ["core", *sorted(f"plugins/{p.parent.name}" for p in ROOT.glob("plugins/*/pyproject.toml"))]

#: Distributions whose import has another name, or that come with another one of its own exact version.
DISTRIBUTION = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "pywt": "pywavelets",
    "astra": "astra-toolbox",
    "pydantic_core": "pydantic",
    "importlib_metadata": "importlib-metadata",
    "wellposed": "wellposed-core",
}
#: Declared without an import of its own, and why; imported without a declaration, and why.
NOT_IMPORTED = {
    "wellposed-physics": {
        "h5py": "the core reads fastMRI's and HDF5 files by it",
        "pydicom": "the core reads LIDC's files by it",
        "nibabel": "the core reads volumes by it",
    },
    "wellposed-equivariant": {"scipy": "escnn imports it"},
}
NOT_DECLARED = {"wellposed-equivariant": {"escnn": "installed with --no-deps, as its README says"}}
#: Calls whose first argument names a module.
_IMPORTING = {"import_module", "find_spec", "library"}


def project(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]


def declared(folder: str) -> set[str]:
    """Names of the dependencies, with those of extras."""
    facts = project(folder)
    texts = [*facts["dependencies"], *(d for extra in facts.get("optional-dependencies", {}).values() for d in extra)]
    return {re.split(r"[\s<>=!~;\[@]", text, maxsplit=1)[0].lower() for text in texts}


def imported(folder: str) -> set[str]:
    """Distributions that the sources import, at the top or later, by statement or by name."""
    own = {p.name for p in (ROOT / folder / "src").iterdir()}
    found = {name.partition(".")[0] for file in (ROOT / folder / "src").rglob("*.py") for name in modules(file)}
    strangers = found - own - set(sys.stdlib_module_names)
    return {DISTRIBUTION.get(name, name).lower() for name in strangers}


def modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in _IMPORTING and isinstance(node.args[0].value, str):
                yield node.args[0].value


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_imported_is_declared(folder: str) -> None:
    assert imported(folder) - declared(folder) - set(NOT_DECLARED.get(project(folder)["name"], {})) == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_declared_is_imported(folder: str) -> None:
    assert declared(folder) - imported(folder) - set(NOT_IMPORTED.get(project(folder)["name"], {})) == set()


_ALONE = """
import importlib.abc, json, os, sys
others = set(json.loads(sys.argv[2]))
os.environ["WELLPOSED_DISABLE"] = ",".join(name.replace("_", "-") for name in others)


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in others:
            raise ModuleNotFoundError(f"No module named {name!r}")


sys.meta_path.insert(0, Absent())
from wellposed.errors import InputError
from wellposed.recipes.builder import construct
from wellposed.registry import registry

told = {}
for entry in registry().entries():
    if entry.distribution != sys.argv[1]:
        continue
    cls = entry.load()
    for example in cls.examples():
        try:
            construct(cls, example)
        except InputError as error:
            told[f"{entry.kind} {entry.name} {example}"] = [cls.lacking() or "", str(error)]
print(json.dumps(told))
"""


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_component_is_built_beside_the_core_alone_or_says_what_it_needs(folder: str) -> None:
    """With the other plugins absent, as after `pip install wellposed-NAME`."""
    name = project(folder)["name"]
    others = [f"wellposed_{Path(f).name}" for f in FOLDERS[1:] if f != folder]
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, name, json.dumps(others)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for component, (lacking, error) in json.loads(done.stdout).items():
        assert re.search(r"pip install wellposed-\w+", error), f"{component}: {error}"
        if "{}" in component or " equilibrium-proximal " in component:
            assert "pip install" in lacking, component
