"""The scaffold: a plugin of every kind is made, conforms, and installs; what cannot be made is told."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from wellposed.errors import InputError
from wellposed.registry import KINDS
from wellposed.scaffold import PluginNames, new_plugin
from wellposed.testing import check_component

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


@pytest.mark.parametrize("kind", KINDS)
def test_plugin_of_every_kind_conforms(kind: str, tmp_path: Path, monkeypatch, plugin_sandbox) -> None:
    name = f"scaffolded-{kind}"
    plugin = new_plugin(f"wellposed-{name}", kind, tmp_path)
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    ((registered, target),) = project["entry-points"][KINDS[kind].group].items()
    assert registered == name
    monkeypatch.syspath_prepend(plugin / "src")
    plugin_sandbox.add(kind, registered, target, project["name"])
    results = check_component(kind, registered)
    assert [f"{r.check}: {r.message}" for r in results if not r.ok] == []
    assert sum(r.outcome == "passed" for r in results) >= 10


def test_plugin_holds_what_the_readme_says(tmp_path: Path) -> None:
    plugin = new_plugin("Soft Edges", "regularizer", tmp_path / "deeper")
    assert plugin == tmp_path / "deeper" / "soft-edges"
    found = {str(p.relative_to(plugin)) for p in plugin.rglob("*") if p.is_file()}
    assert found == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/soft_edges/__init__.py",
        "src/soft_edges/py.typed",
        "src/soft_edges/soft_edges.py",
        "tests/test_conformance.py",
    }
    text = "".join((plugin / name).read_text() for name in found)
    assert "class SoftEdges(Regularizer)" in text
    assert "wellposed-core>=0.1,<0.2" in text
    assert "$" not in text
    assert not [p for p in (tmp_path / "deeper").iterdir() if p != plugin]


def test_names_follow_from_the_distribution() -> None:
    names = PluginNames.parse("wellposed_soft.Edges")
    assert (names.distribution, names.package) == ("wellposed-soft-edges", "wellposed_soft_edges")
    assert (names.component, names.module, names.cls) == ("soft-edges", "soft_edges", "SoftEdges")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "letters, digits and hyphens"),
        ("3d-things", "letters, digits and hyphens"),
        ("../escape", "letters, digits and hyphens"),
        ("naïve", "letters, digits and hyphens"),
        ("class", "means something in Python"),
        ("wellposed-random", "means something in Python"),
        ("torch", "a package torch is installed"),
        ("wellposed", "a package wellposed is installed"),
    ],
)
def test_names_that_cannot_be_used_are_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        new_plugin(name, "operator", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("keep me")
    with pytest.raises(InputError, match="exists already"):
        new_plugin("mine", "operator", tmp_path)
    assert (tmp_path / "mine" / "precious.txt").read_text() == "keep me"


def test_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="operators, patterns, noise"):
        new_plugin("mine", "gadget", tmp_path)


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        new_plugin("mine", "operator", tmp_path / "file")


@pytest.mark.slow
def test_plugin_installs_and_passes_its_own_tests(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is needed to install without the network")
    plugin = new_plugin("wellposed-soft-edges", "regularizer", tmp_path)
    python = _environment(tmp_path / "environment")
    install = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", str(plugin)]
    subprocess.run([python, "-m", "pip", *install], check=True)
    run = subprocess.run([python, "-m", "pytest", "-q", str(plugin)], cwd=plugin, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout


def _environment(folder: Path) -> Path:
    """A virtual environment that sees the packages of this one."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    # `addsitedir`, unlike a plain path, also reads the .pth files of editable installs.
    (own / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return python
