"""The house as it is drawn: what stands where, and that lists which are written twice agree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

from wellposed.registry import KINDS
from wellposed.registry.known import PROVIDER

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = sorted(p.parent.name for p in ROOT.glob("plugins/*/pyproject.toml"))


def project(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())


def entry_points(plugin: str) -> dict[str, dict[str, str]]:
    return project(f"plugins/{plugin}")["project"].get("entry-points", {})


def test_the_top_level_holds_what_it_may() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    named = {"core", "plugins", "tests", "pyproject.toml", "README.md", "CONTRIBUTING.md", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} == named


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_umbrella_the_requirements_and_the_contracts_name_every_plugin(plugin: str) -> None:
    root = project(".")
    assert any(f"plugins/{plugin}" in d for d in root["project"]["dependencies"])
    assert f"-e ./plugins/{plugin}" in (ROOT / "tests/requirements.txt").read_text()
    contracts = root["tool"]["importlinter"]["contracts"]
    assert f"wellposed_{plugin}" in contracts[0]["forbidden_modules"]
    assert f"wellposed_{plugin}" in contracts[1]["modules"]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_depend_on_the_core_by_name_and_range_and_have_its_version(plugin: str) -> None:
    dependencies = project(f"plugins/{plugin}")["project"]["dependencies"]
    assert "wellposed-core>=0.1,<0.2" in dependencies
    assert not any("wellposed-" in d for d in dependencies if not d.startswith("wellposed-core"))
    init = (ROOT / f"plugins/{plugin}/src/wellposed_{plugin}/__init__.py").read_text()
    core = (ROOT / "core/src/wellposed/__init__.py").read_text()
    version = r'__version__ = "([^"]+)"'
    assert re.findall(version, init) == re.findall(version, core)


def test_the_table_of_providers_is_that_of_the_entry_points() -> None:
    kinds = {kind.group for kind in KINDS.values()}
    owners: dict[str, set[str]] = {}
    for plugin in PLUGINS:
        for group, points in entry_points(plugin).items():
            for name in points if group in kinds else ():
                owners.setdefault(name, set()).add(f"wellposed-{plugin}")
    assert {name: min(dists) for name, dists in owners.items() if len(dists) == 1} == PROVIDER


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_plugin_has_a_readme_that_names_its_components(plugin: str) -> None:
    readme = (ROOT / f"plugins/{plugin}/README.md").read_text()
    kinds = {kind.group for kind in KINDS.values()}
    missing = [n for g, points in entry_points(plugin).items() if g in kinds for n in points if f"`{n}`" not in readme]
    assert not missing


def test_files_fit_a_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long


def sources() -> dict[str, str]:
    paths = [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        # files/hdf5.py refuses files that lead elsewhere before it hands them out
        (r"\bh5py\.File\(|\bload_file\(|(?<!safetensors\.)torch\.load\(", {"core/src/wellposed/files/hdf5.py"}),
        # cli/output.py spells control characters out before they reach a terminal
        (r"\btyper\.echo\(|\bclick\.echo\(", {"core/src/wellposed/cli/output.py"}),
        (r"(?<!Visible)\bConsole\(", {"core/src/wellposed/cli/visible_console.py"}),
    ],
)
def test_what_stands_in_one_place_only(pattern: str, places: set[str]) -> None:
    found = {name for name, text in sources().items() if re.search(pattern, text)}
    assert found <= places
