"""Real installations in new virtual environments: what the README promises of pip. Slow: each takes a minute or two.

`pytest -m slow tests/test_installation.py`
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_house import PLUGINS, ROOT, project

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Environment:
    """A new virtual environment with nothing in it."""

    folder: Path

    def pip(self, *arguments: str) -> None:
        self.run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)

    def run(self, program: str, *arguments: str, cwd: Path = ROOT) -> str:
        """Standard output of a program of the environment, run in `cwd`; fails with what it printed."""
        names = {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
        environment = {**os.environ, **names}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [self.folder / "bin" / program, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{program} {' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def distributions(self) -> set[str]:
        return {entry["distribution"] for entry in json.loads(self.run("wellposed", "list", "--json"))}


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    if sys.platform == "win32":
        pytest.skip("the paths of this test are those of POSIX")
    venv.create(tmp_path / "venv", with_pip=True)
    yield Environment(tmp_path / "venv")
    shutil.rmtree(tmp_path / "venv")  # gigabytes each, and pytest keeps the folders of three runs


def test_selected_plugins_install_just_those(environment: Environment, tmp_path: Path) -> None:
    environment.pip("./core", "./plugins/physics")
    assert environment.distributions() == {"wellposed-core", "wellposed-physics"}
    recipe = ROOT / "plugins/classical/src/wellposed_classical/recipes/demo.yaml"
    with pytest.raises(AssertionError, match="pip install wellposed-classical"):  # the sentence says what is missing
        environment.run("wellposed", "run", str(recipe), cwd=tmp_path)
    environment.pip("./plugins/classical")
    environment.run("wellposed", "demo", "--out", str(tmp_path / "demo"))
    assert (tmp_path / "demo" / "report.html").is_file()


@pytest.mark.parametrize("order", [("users", "developers"), ("developers", "users")])
def test_both_commands_of_the_readme_in_either_order(
    environment: Environment, order: tuple[str, str], tmp_path: Path
) -> None:
    lines = {"users": ["."], "developers": ["-r", "tests/requirements.txt"]}
    for who in order:
        environment.pip(*lines[who])
    assert {f"wellposed-{plugin}" for plugin in PLUGINS} <= environment.distributions()
    environment.run("wellposed", "doctor")
    environment.run("wellposed", "demo", "--out", str(tmp_path / "demo"))
    environment.run(
        "python", "-m", "pytest", "-q", "tests/test_house.py", "tests/test_readme.py", "-p", "no:cacheprovider"
    )


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_alone_passes_its_own_tests(environment: Environment, plugin: str) -> None:
    """With the core and the distributions that its dependency group `test` names, nothing else."""
    group = project(f"plugins/{plugin}")["dependency-groups"]["test"]
    named = [f"./plugins/{name.removeprefix('wellposed-')}" for name in group if name.startswith("wellposed-")]
    environment.pip("./core", f"./plugins/{plugin}", *named, *(n for n in group if not n.startswith("wellposed-")))
    environment.run("python", "-m", "pytest", "-q", f"plugins/{plugin}/tests", "-p", "no:cacheprovider")
    environment.run("wellposed", "plugin", "check", f"wellposed-{plugin}")


@pytest.mark.parametrize("kind", ["operators", "regularizers", "iterations", "solvers"])
def test_a_third_party_plugin_beside_the_core_alone(environment: Environment, kind: str, tmp_path: Path) -> None:
    environment.pip("./core", "pytest")
    environment.run("wellposed", "plugin", "new", "wellposed-theirs", "--kind", kind, cwd=tmp_path)
    plugin = tmp_path / "wellposed-theirs"
    environment.pip("-e", str(plugin))
    environment.run("python", "-m", "pytest", "-q", cwd=plugin)
    environment.run("wellposed", "plugin", "check", "wellposed-theirs", cwd=tmp_path)
    assert environment.distributions() == {"wellposed-core", "wellposed-theirs"}
